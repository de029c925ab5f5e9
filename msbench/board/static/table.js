// Sorting by a column: inside each section, rows without a value last.
"use strict";
{
  function sortKey(row, column) {
    const text = row.cells[column]?.dataset.sort ?? "";
    return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
  }

  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function order(table, keys, sign) {
    for (const body of table.tBodies) {
      const rows = [...body.querySelectorAll("tr.row")].map((row) => [keys(row), row]);
      rows.sort((a, b) => compare(a[0], b[0], sign));
      body.append(...rows.map(([, row]) => row));
    }
  }

  function apply(table, places) {
    const [, key, direction] = /^(.*):(ascending|descending)$/.exec(view.get("sort-" + table.id) ?? "") ?? [];
    const headers = [...table.querySelectorAll(".heads th")];
    const header = headers.find((other) => other.dataset.key === key);
    if (header) order(table, (row) => sortKey(row, header.cellIndex), direction === "ascending" ? 1 : -1);
    else if (headers.some((other) => other.getAttribute("aria-sort") !== "none")) order(table, (row) => places.get(row), 1);
    for (const other of headers) other.setAttribute("aria-sort", other === header ? direction : "none");
  }

  function makeSortable(table) {
    const places = new Map([...table.querySelectorAll("tr.row")].map((row, place) => [row, place]));
    for (const header of table.querySelectorAll(".heads th")) {
      const title = header.querySelector(".title");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title.textContent;
      title.replaceChildren(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const now = header.getAttribute("aria-sort");
        const turned = now === "ascending" ? "descending" : "ascending";
        remember("sort-" + table.id, header.dataset.key + ":" + (now === "none" ? header.dataset.first : turned));
        apply(table, places);
      });
    }
    apply(table, places);
    document.addEventListener("viewchange", () => apply(table, places));
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
}
