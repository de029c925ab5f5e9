// Sorting, plots, copy buttons. The page says everything without this file; it keeps its view in the URL's hash.
"use strict";

const view = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

function remember(key, value) {
  view.set(key, value);
  history.replaceState(null, "", "#" + view.toString());
}

// Sorting: inside each section, rows without a value last.

function sortKey(row, column) {
  const text = row.cells[column]?.dataset.sort ?? "";
  return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortTable(table, header, direction) {
  const column = header.cellIndex;
  const sign = direction === "ascending" ? 1 : -1;
  for (const body of table.tBodies) {
    const rows = [...body.querySelectorAll("tr.row")];
    rows.sort((a, b) => compare(sortKey(a, column), sortKey(b, column), sign));
    body.append(...rows);
  }
  for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", direction);
}

function makeSortable(table) {
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
      const direction = now === "none" ? header.dataset.first : turned;
      sortTable(table, header, direction);
      remember("sort-" + table.id, header.dataset.key + ":" + direction);
    });
  }
  const saved = view.get("sort-" + table.id) ?? "";
  const key = saved.slice(0, saved.lastIndexOf(":"));
  const direction = saved.slice(saved.lastIndexOf(":") + 1);
  const header = [...table.querySelectorAll(".heads th")].find((th) => th.dataset.key === key);
  if (header && ["ascending", "descending"].includes(direction)) sortTable(table, header, direction);
}

// Plots: the page holds plotly JSON without colours; they come from the style sheet.

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function coloured(spec) {
  const data = spec.data.map((trace) => {
    const own = trace.meta?.color === "ink" ? color("soft") : color("series-" + trace.meta.color);
    return {
      ...trace,
      marker: { ...trace.marker, color: own },
      line: { ...trace.line, color: own },
      ...(trace.error_y ? { error_y: { ...trace.error_y, color: own, thickness: 1.2 } } : {}),
    };
  });
  const axis = { gridcolor: color("rule"), zeroline: false, linecolor: color("faint"), ticks: "outside", ticklen: 4,
    tickcolor: color("faint"), showline: true };
  const layout = {
    ...spec.layout,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: color("ink") },
    xaxis: { ...axis, ...spec.layout.xaxis }, yaxis: { ...axis, ...spec.layout.yaxis },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: color("soft") } },
    hoverlabel: { bgcolor: color("raised"), bordercolor: color("rule"), font: { color: color("ink") } },
  };
  return { data, layout };
}

function draw(plot) {
  if (typeof Plotly === "undefined" || plot.offsetParent === null) return;
  plot.spec ??= JSON.parse(plot.querySelector("script").textContent);
  const { data, layout } = coloured(plot.spec);
  plot.classList.add("drawn");
  Plotly.react(plot, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
}

function drawAll() {
  document.querySelectorAll(".plot").forEach(draw);
}

function choose(select) {
  for (const block of document.querySelectorAll("#figure-" + select.dataset.figure + " .view")) {
    block.hidden = block.dataset.view !== select.value;
  }
  drawAll();
}

function makeChoosable(select) {
  const saved = view.get("figure-" + select.dataset.figure);
  if ([...select.options].some((option) => option.value === saved)) select.value = saved;
  choose(select);
  select.addEventListener("change", () => {
    choose(select);
    remember("figure-" + select.dataset.figure, select.value);
  });
}

// Copy buttons.

async function copy(button) {
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => (button.textContent = "Copy"), 2500);
}

document.querySelectorAll(".needs-script").forEach((element) => (element.hidden = false));
document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("select[data-figure]").forEach(makeChoosable);
document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", () => copy(button)));
drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
