// The main table as it is shown (rows, order, columns) as a CSV or JSON file, made in the browser.
"use strict";
{
  const table = document.getElementById("main");

  function text(cell, part) {
    return (cell.querySelector(part)?.textContent ?? "").trim();
  }

  // Numbers as they sort, with six digits. Rank ranges and words as they are written.
  function value(cell, key) {
    const { sort } = cell.dataset;
    if (sort === "") return null;
    return key === "rank" || Number.isNaN(Number(sort)) ? text(cell, ".main") : Number(sort);
  }

  function shownColumns() {
    return [...table.querySelectorAll(".heads th")]
      .slice(1)
      .filter((header) => getComputedStyle(header).display !== "none");
  }

  function rowData(row, columns) {
    const section = row.parentElement.querySelector("tr.section .title")?.textContent ?? "";
    const [first] = row.cells;
    const found = { method: first.dataset.sort, variant: text(first, ".variant"), section };
    const broken = row.querySelector(".broken");
    if (broken) return { ...found, reason: broken.textContent.trim().replace(/\s+/g, " ") };
    for (const header of columns) {
      const cell = row.cells[header.cellIndex];
      const { key } = header.dataset;
      found[key] = value(cell, key);
      const spread = text(cell, ".spread");
      const below = text(cell, ".sub");
      if (spread) found[key + ".sd"] = Number(spread.replace("±", ""));
      if (below) found[key + ".below"] = below.replace(/[\u202f\u00a0]/g, " ");
    }
    return found;
  }

  function shownRows() {
    const columns = shownColumns();
    return [...table.querySelectorAll("tr.row:not([hidden])")].map((row) => rowData(row, columns));
  }

  // Text that a spreadsheet would run as a formula gets a leading apostrophe.
  function quoted(found) {
    if (found === null || found === undefined) return "";
    const words = typeof found === "string" && /^[=+\-@\t\r]/.test(found) ? "'" + found : String(found);
    return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  }

  function asCsv(rows) {
    const keys = [...new Set(rows.flatMap(Object.keys))];
    return [keys, ...rows.map((row) => keys.map((key) => row[key]))].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
  }

  function asJson(rows) {
    return JSON.stringify({ board: document.title, view: view.toString(), rows }, null, 1) + "\n";
  }

  function save(name, type, content) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  const slug = table.dataset.slug;
  document.getElementById("save-csv").addEventListener("click", () => save(slug + ".csv", "text/csv", asCsv(shownRows())));
  document.getElementById("save-json").addEventListener("click", () =>
    save(slug + ".json", "application/json", asJson(shownRows())),
  );
}
