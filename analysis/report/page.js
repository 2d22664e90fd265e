"use strict";
const table = document.querySelector("#all");
const rows = [...table.tBodies[0].rows];

// Numbers by value, text by letter; what is missing comes last either way.
function order(a, b) {
  return Number.isNaN(+a) || Number.isNaN(+b) ? a.localeCompare(b) : a - b;
}
function sortBy(heading) {
  const sign = heading.ariaSort === "ascending" ? -1 : 1;
  const key = row => row.cells[heading.cellIndex].dataset.key;
  for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
  heading.ariaSort = sign > 0 ? "ascending" : "descending";
  const missing = (a, b) => (key(a) === "") - (key(b) === "");
  rows.sort((a, b) => missing(a, b) || sign * order(key(a), key(b)));
  table.tBodies[0].append(...rows);
}
for (const button of table.querySelectorAll("th button"))
  button.addEventListener("click", () => sortBy(button.closest("th")));

// What was drawn on a cell's front: an interval of each objective, or null, which shows every trial.
function filter(cell, chosen) {
  const inside = ([a, b], value) => value !== null && Math.min(a, b) <= value && value <= Math.max(a, b);
  for (const row of rows) {
    const place = JSON.parse(row.dataset.place);
    row.hidden = chosen !== null && !(row.dataset.cell === cell
      && objectives.every((name, i) => inside(chosen[name], place[i])));
  }
  const shown = rows.filter(row => !row.hidden).length;
  document.querySelector("#shown").textContent = chosen === null
    ? `${shown} trials` : `${shown} of ${rows.length} trials, those inside the interval of ${cell}`;
}

// Small panels stand as many in a row as fit, and share the width; a chart alone has its labels within.
function fit(spec, width, alone = true) {
  if (spec.vconcat) spec.vconcat.forEach(part => fit(part, width, false));
  else if (spec.concat) {
    const columns = Math.max(1, Math.min(spec.columns ?? 1, Math.floor(width / 290)));
    if (spec.columns) spec.columns = columns;
    for (const panel of spec.concat) panel.width = Math.min(spec.columns ? 420 : 860, Math.floor(width / columns) - 85);
  } else if (alone) Object.assign(spec, { width: Math.min(945, width), autosize: { type: "fit-x", contains: "padding" } });
  else spec.width = Math.min(860, width - 85);
  return spec;
}
async function draw(box) {
  const spec = fit(JSON.parse(box.nextElementSibling.textContent), box.clientWidth);
  const actions = { export: true, source: false, compiled: false, editor: false };
  const { view } = await vegaEmbed(box, spec, { mode: "vega-lite", actions, renderer: "svg" });
  box.view = view;
  if (!box.dataset.cell) return;
  view.addSignalListener("brush", (_, value) => {
    const whole = objectives.every(name => name in (value ?? {}));
    filter(box.dataset.cell, whole ? value : null);
  });
}
for (const button of document.querySelectorAll(".answer button"))
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
  });
async function main() {
  for (const box of document.querySelectorAll(".chart")) await draw(box);
  document.body.dataset.drawn = "yes";
}
main();
