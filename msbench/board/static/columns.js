// Which columns of the main table are shown: one style sheet of :nth-child rules, so that no cell is touched.
"use strict";
{
  const table = document.getElementById("main");
  const boxes = [...document.querySelectorAll("#columns input[type=checkbox]")];
  const headers = [...table.querySelectorAll(".heads th")];
  const spans = [...table.querySelectorAll(".groups > [data-keys]")];
  const wide = [...table.querySelectorAll("tr.section > th, td.broken")];
  const sheet = document.getElementById("column-rules"); // Until here it hides what the page does not usually show.
  const usual = new Set(boxes.filter((box) => box.defaultChecked).map((box) => box.value));

  function rules(hidden) {
    return hidden
      .map((key) => headers.findIndex((header) => header.dataset.key === key) + 1)
      .map((place) => `#main .heads > :nth-child(${place}), #main .row > :nth-child(${place}):not(.broken)`)
      .join(", ");
  }

  function apply() {
    const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const without = (kept) => boxes.map((box) => box.value).filter((key) => !kept.has(key));
    const css = (kept) => (without(kept).length ? `${rules(without(kept))} { display: none; }` : "");
    sheet.textContent = `@media screen { ${css(shown)} } @media print { ${css(usual)} }`;
    for (const cell of spans) {
      const count = cell.dataset.keys.split(" ").filter((key) => shown.has(key)).length;
      cell.hidden = count === 0;
      cell.colSpan = Math.max(count, 1);
    }
    for (const cell of wide) cell.colSpan = shown.size + (cell.tagName === "TH" ? 1 : 0) || 1;
    document.getElementById("column-count").textContent = `${shown.size} of ${boxes.length}`;
  }

  // A view names the columns that it shows; names that this board does not have are passed over.
  function read() {
    const saved = (view.get("columns") ?? "").split(",");
    const known = new Set(saved.filter((key) => boxes.some((box) => box.value === key)));
    const every = new Set(boxes.map((box) => box.value));
    const shown = { all: every, none: new Set() }[saved[0]] ?? (known.size ? known : usual);
    for (const box of boxes) box.checked = shown.has(box.value);
    apply();
  }

  function changed() {
    const shown = boxes.filter((box) => box.checked).map((box) => box.value);
    const same = shown.length === usual.size && shown.every((key) => usual.has(key));
    remember("columns", same ? "" : shown.length === boxes.length ? "all" : shown.join(",") || "none");
    apply();
  }

  function choose(checked) {
    for (const box of boxes) box.checked = checked(box);
    changed();
  }

  for (const box of boxes) box.addEventListener("change", changed);
  document.getElementById("columns-all").addEventListener("click", () => choose(() => true));
  document.getElementById("columns-default").addEventListener("click", () => choose((box) => usual.has(box.value)));
  document.addEventListener("viewchange", read);
  read();
}
