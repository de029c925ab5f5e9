// Plots: drawn when they come into view, from the plotly JSON in the page; colours come from the style sheet.
// Uses `view` and `remember` of page.js, and redraws on "themechange". The page says everything without this file.
"use strict";
{
  const PLOTLY = new URL("plotly.min.js", document.currentScript.src).href;
  const KEYS_AT_FIRST = 12; // As many methods as a legend shows before it is unfolded.
  const NARROW = 480;
  const REST = 2000; // Milliseconds before plots that nobody came near are made ready: paper needs them, the table does not.
  const PRINTED = 480; // Width of a plot on paper: two beside each other on A4.
  const MARKS = {
    circle: '<circle cx="13" cy="6" r="4.5"/>',
    square: '<path d="M9 2h8v8H9z"/>',
    diamond: '<path d="M13 .5 18.5 6 13 11.5 7.5 6z"/>',
    "triangle-up": '<path d="M13 1l5.2 9.500H7.800z"/>',
    "triangle-down": '<path d="M13 11l5.2-9.500H7.800z"/>',
    cross: '<path d="M11.3 1h3.400v3.300H18v3.400h-3.300V11h-3.400V7.700H8V4.300h3.300z"/>',
    x: '<path d="M11.3 1h3.400v3.300H18v3.400h-3.300V11h-3.400V7.700H8V4.300h3.300z" transform="rotate(45 13 6)"/>',
    star: '<path d="M13 .5l1.6 3.8 4.1.3-3.1 2.7 1 4L13 9.100l-3.6 2.2 1-4-3.1-2.7 4.1-.3z"/>',
    "circle-open": '<circle cx="13" cy="6" r="4" fill="none" stroke-width="1.5" stroke="currentColor"/>',
  };
  const DASHES = { dash: "5 3", dot: "1.5 3", dashdot: "5 3 1.5 3" };

  // Colours: a name of the style sheet, or a place in its palette, as the browser resolves it.

  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  function color(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  function ofMeta(place) {
    return color(place === "ink" ? "soft" : place === "mute" ? "plot-mute" : "plot-" + place);
  }

  const faded = (tone, alpha) => String(tone).replace("rgb(", "rgba(").replace(")", `, ${alpha})`);

  function coloured(trace) {
    const meta = trace.meta;
    const own = Array.isArray(meta.color) ? meta.color.map(ofMeta) : ofMeta(meta.color);
    const bars = { color: meta.bars ? ofMeta(meta.bars) : faded(own, 0.6), thickness: 1.2 };
    const parts = { marker: { ...trace.marker, color: own }, line: { ...trace.line, color: own } };
    if (trace.type === "bar") parts.marker.line = { width: 0 };
    if (meta.outline) parts.marker = { color: "rgba(0,0,0,0)", line: { color: own, width: 1 } };
    if (trace.type === "bar") delete parts.line;
    if (trace.fill) parts.fillcolor = faded(own, 0.16);
    if (trace.error_x) parts.error_x = { ...trace.error_x, ...bars };
    if (trace.error_y) parts.error_y = { ...trace.error_y, ...bars };
    if (trace.mode?.includes("text")) parts.textfont = { color: color("ink"), size: 11 };
    return { ...trace, ...parts };
  }

  function dressed(spec, width) {
    const narrow = width < NARROW;
    const axis = { gridcolor: color("rule"), zeroline: false, linecolor: color("faint"), ticks: "outside", ticklen: 4,
      tickcolor: color("faint"), showline: true, automargin: true };
    const layout = { margin: { l: narrow ? 44 : 60, r: narrow ? 10 : 18, t: 12, b: 46 }, hovermode: "closest",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", ...spec.layout, showlegend: false,
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 12, color: color("ink") },
      hoverlabel: { bgcolor: color("raised"), bordercolor: color("rule"), font: { color: color("ink") } } };
    for (const name of ["xaxis", "yaxis"]) {
      const own = spec.layout[name];
      layout[name] = { ...axis, ...own, title: { standoff: 8, ...own.title } };
      if (own.type === "category") layout[name].showgrid = false;
    }
    if (spec.layout.shapes) layout.shapes = spec.layout.shapes.map((s) => ({ ...s, fillcolor: color("track") }));
    return layout;
  }

  // Which traces are drawn: the reader's choice by legend entry, at first what the page says.

  const entry = (trace) => trace.legendgroup ?? trace.name;

  function read(plot) {
    if (plot.spec) return;
    plot.spec = JSON.parse(plot.querySelector("script").textContent);
    plot.shown = new Map(plot.spec.data.map((trace) => [entry(trace), false]));
    for (const trace of plot.spec.data) {
      if (trace.visible !== "legendonly" && trace.showlegend !== false) plot.shown.set(entry(trace), true);
    }
  }

  function drawnData(plot) {
    return plot.spec.data.map((trace) => coloured({ ...trace, visible: plot.shown.get(entry(trace)) }));
  }

  function draw(plot, paper) {
    read(plot);
    plot.classList.add("drawn");
    const layout = dressed(plot.spec, paper ? PRINTED : plot.clientWidth);
    if (paper) layout.width = PRINTED;
    Plotly.react(plot, drawnData(plot), layout, { responsive: true, displaylogo: false, displayModeBar: false });
    if (!plot.keyed) makeKeys(plot);
  }

  // The legend: a button for each entry, so that it wraps, folds and works by keyboard.

  function swatch(trace) {
    const place = Array.isArray(trace.meta.color) ? trace.meta.color[0] : trace.meta.color;
    const tone = `var(--${place === "ink" ? "soft" : "plot-" + place})`;
    const lines = trace.mode?.includes("lines");
    const dash = DASHES[trace.line?.dash] ?? "";
    const line = lines ? `<path d="M0 6h26" stroke="currentColor" stroke-width="1.7" stroke-dasharray="${dash}"/>` : "";
    const bar = trace.meta.outline
      ? '<path d="M8 1.500h10v9H8z" fill="none" stroke="currentColor"/>'
      : MARKS.square;
    const mark = trace.type === "bar" ? bar : trace.mode?.includes("markers") ? (MARKS[trace.marker?.symbol] ?? MARKS.circle) : "";
    return `<svg width="26" height="12" fill="currentColor" aria-hidden="true" style="color:${tone}">${line}${mark}</svg>`;
  }

  function makeKey(plot, name, trace) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "key";
    button.innerHTML = swatch(trace);
    button.append(name);
    button.setAttribute("aria-pressed", plot.shown.get(name));
    button.addEventListener("click", () => {
      plot.shown.set(name, !plot.shown.get(name));
      button.setAttribute("aria-pressed", plot.shown.get(name));
      draw(plot);
    });
    return button;
  }

  function makeKeys(plot) {
    plot.keyed = true;
    const box = plot.parentElement.querySelector(".keys");
    const listed = new Map();
    for (const trace of plot.spec.data) {
      if (trace.showlegend !== false && !listed.has(entry(trace))) listed.set(entry(trace), trace);
    }
    if (plot.spec.layout.showlegend === false || listed.size < 2) return;
    const buttons = [...listed].map(([name, trace]) => makeKey(plot, name, trace));
    const pressed = (button) => button.getAttribute("aria-pressed") === "true";
    buttons.sort((a, b) => pressed(b) - pressed(a));
    const rest = buttons.filter((button, index) => !pressed(button) && index >= KEYS_AT_FIRST - 4);
    box.append(...buttons);
    if (rest.length > 2) fold(plot, box, rest, buttons);
  }

  function fold(plot, box, rest, buttons) {
    rest.forEach((button) => (button.hidden = true));
    const more = document.createElement("button");
    const all = document.createElement("button");
    [more.type, all.type, more.className, all.className] = ["button", "button", "more", "more"];
    more.textContent = `${rest.length} more`;
    more.setAttribute("aria-expanded", "false");
    all.textContent = "Draw all";
    all.hidden = true;
    more.addEventListener("click", () => {
      const open = more.getAttribute("aria-expanded") === "false";
      more.setAttribute("aria-expanded", open);
      more.textContent = open ? "Fewer" : `${rest.length} more`;
      rest.forEach((button) => (button.hidden = !open));
      all.hidden = !open;
    });
    all.addEventListener("click", () => {
      buttons.forEach((button) => button.setAttribute("aria-pressed", "true"));
      for (const name of plot.shown.keys()) plot.shown.set(name, true);
      draw(plot);
    });
    box.append(more, all);
  }

  // Drawing when in view, one plot at a time so that the page stays awake.

  let plotly = null;
  const queue = new Set();

  function load() {
    plotly ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = PLOTLY;
      script.onload = resolve;
      script.onerror = () => reject(new Error("assets/plotly.min.js cannot be read; build the leaderboard again"));
      document.head.append(script);
    });
    return plotly;
  }

  async function drawNext() {
    await load();
    for (const plot of queue) {
      queue.delete(plot);
      if (plot.offsetParent) draw(plot);
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  function ask(plots) {
    const idle = queue.size === 0;
    plots.forEach((plot) => queue.add(plot));
    if (idle && queue.size) drawNext();
  }

  const plots = [...document.querySelectorAll(".plot")];
  const drawn = () => plots.filter((plot) => plot.classList.contains("drawn"));
  const near = new IntersectionObserver(
    (seen) => ask(seen.filter((item) => item.isIntersecting).map((item) => item.target).filter((p) => !p.keyed)),
    { rootMargin: "300px" },
  );
  plots.forEach((plot) => plot.classList.add("waits"));
  plots.forEach((plot) => near.observe(plot));
  if (plots.length) setTimeout(() => (window.requestIdleCallback ?? setTimeout)(load), REST);
  document.addEventListener("themechange", () => ask(drawn()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => ask(drawn()));

  // On paper and in files the colours are the light ones.

  function inLight(work) {
    const dark = document.getElementById("dark");
    const media = dark?.media;
    if (dark) dark.media = "not all";
    try {
      return work();
    } finally {
      if (dark) dark.media = media;
    }
  }

  const visible = () => plots.filter((plot) => plot.offsetParent);
  addEventListener("beforeprint", () => {
    if (typeof Plotly !== "undefined") inLight(() => visible().forEach((plot) => draw(plot, true)));
  });
  addEventListener("afterprint", () => ask(drawn()));

  // The choice of a view.

  function choose(select) {
    for (const block of document.querySelectorAll(`#figure-${CSS.escape(select.dataset.figure)} .view`)) {
      block.hidden = block.dataset.view !== select.value;
    }
  }

  function restore(select) {
    const saved = view.get("figure-" + select.dataset.figure);
    const known = [...select.options].some((option) => option.value === saved);
    select.value = known ? saved : select.options[0].value;
    choose(select);
  }

  const selects = [...document.querySelectorAll("select[data-figure]")];
  selects.forEach(restore);
  document.addEventListener("viewchange", () => selects.forEach(restore));
  for (const select of selects) {
    select.addEventListener("change", () => {
      choose(select);
      remember("figure-" + select.dataset.figure, select.selectedIndex ? select.value : "");
    });
  }

  // Files: the plot as SVG with its legend, the numbers as CSV.

  function save(name, content, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async function svg(plot) {
    await load();
    read(plot);
    const width = 720;
    const figure = inLight(() => ({ data: drawnData(plot).filter((trace) => trace.visible),
      layout: { ...dressed(plot.spec, width), paper_bgcolor: "#ffffff", showlegend: plot.spec.layout.showlegend ?? true,
        legend: { font: { size: 11 } } } }));
    const image = await Plotly.toImage(figure, { format: "svg", width, height: plot.clientHeight || 400 });
    return decodeURIComponent(image.slice(image.indexOf(",") + 1));
  }

  function csvCell(cell) {
    const text = cell.textContent.trim().replaceAll("\u2212", "-").replaceAll("\u202f", "");
    if (text === "\u2013") return "";
    const inert = /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text;
    return /[",\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
  }

  // The numbers are text until somebody asks for them: as elements they would be more than half of the page.
  function numbers(block) {
    const text = block.querySelector("details noscript");
    if (text) {
      const found = document.createElement("template");
      found.innerHTML = text.textContent;
      text.replaceWith(found.content);
    }
    return block.querySelector("details table");
  }

  for (const details of document.querySelectorAll(".view details")) {
    details.addEventListener("toggle", () => numbers(details.closest(".view")), { once: true });
  }

  const csv = (table) => [...table.rows].map((row) => [...row.cells].map(csvCell).join(",")).join("\n") + "\n";

  for (const button of document.querySelectorAll("button[data-save]")) {
    const block = button.closest(".view");
    const name = block.dataset.file;
    button.addEventListener("click", async () => {
      if (button.dataset.save === "svg") save(name + ".svg", await svg(block.querySelector(".plot")), "image/svg+xml");
      else save(name + ".csv", csv(numbers(block)), "text/csv");
    });
  }
}
