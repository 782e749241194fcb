const SVG = "http://www.w3.org/2000/svg";
let patterns = 0;

function drawn(name, attributes = {}, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function value(entry) {
  return typeof entry === "string" ? { inf: Infinity, "-inf": -Infinity }[entry] ?? NaN : entry;
}
function said(entry) {
  if (typeof entry === "number") return number(entry);
  return entry === null ? "none" : typeof entry === "object" ? JSON.stringify(entry) : String(entry);
}
function short(amount) {
  return amount >= 0.01 && amount < 1000 ? String(+amount.toPrecision(2)) : amount.toExponential(0).replace("e+", "e");
}
function figure(caption, ...parts) {
  const made = element("figure");
  made.append(...parts, element("figcaption", caption));
  return made;
}

function influenceMap(matrix, axis) {
  const rows = matrix.map((row) => row.map(value)), what = axis === "time" ? "step" : "sample", wide = rows[0].length;
  const size = Math.max(5, Math.min(36, 420 / Math.max(rows.length, wide))), left = 46, top = 40;
  const moved = rows.flat().filter((v) => v > 0 && v < Infinity), low = Math.min(...moved), high = Math.max(...moved), isWide = high > 100 * low;
  const share = (v) => (high === low ? 1 : isWide ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
  const svg = drawn("svg", { class: "map", role: "img", width: left + size * wide + 2, height: top + size * rows.length + 2, viewBox: `0 0 ${left + size * wide + 2} ${top + size * rows.length + 2}` });
  const hatch = `untried${patterns += 1}`, pattern = drawn("pattern", { id: hatch, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(drawn("line", { x1: 0, y1: 0, x2: 0, y2: 5, stroke: "currentColor", "stroke-opacity": 0.45, "stroke-width": 1.5 }));
  svg.append(pattern);
  const off = [];
  rows.forEach((row, i) => row.forEach((v, j) => {
    const kind = Number.isNaN(v) ? "nan" : v === Infinity ? "inf" : v > 0 ? "moved" : "zero", place = { x: left + j * size, y: top + i * size };
    const cell = drawn("rect", { ...place, width: size, height: size, class: kind });
    if (kind === "moved") cell.style.setProperty("--share", share(v));
    if (kind === "nan") cell.style.fill = `url(#${hatch})`;
    if (i !== j && v > 0) off.push([v, i, j]);
    const words = { nan: "was not tried", inf: "became NaN or infinite, or changed its shape", zero: "did not move" }[kind] || `moved by ${number(v)}`;
    cell.append(drawn("title", {}, kind === "nan" ? `input ${what} ${j} ${words}` : `output ${what} ${i} ${words} when input ${what} ${j} was replaced`));
    svg.append(cell);
    if (size >= 30 && (kind === "moved" || kind === "inf")) svg.append(drawn("text", { x: place.x + size / 2, y: place.y + size / 2, "text-anchor": "middle", "dominant-baseline": "central", class: "said" }, kind === "inf" ? "∞" : short(v)));
    if (i === j) svg.append(drawn("rect", { x: place.x + 1.5, y: place.y + 1.5, width: size - 3, height: size - 3, class: v > 0 ? "own on" : "own" }));
  }));
  const every = Math.ceil(14 / size);
  rows.forEach((_, i) => { if (i % every === 0) svg.append(drawn("text", { x: left - 6, y: top + (i + 0.5) * size, "text-anchor": "end", "dominant-baseline": "central" }, i)); });
  for (let j = 0; j < wide; j += every) svg.append(drawn("text", { x: left + (j + 0.5) * size, y: top - 8, "text-anchor": "middle" }, j));
  svg.append(drawn("text", { x: left, y: 12 }, `input ${what} replaced →`), drawn("text", { transform: `translate(12 ${top}) rotate(-90)`, "text-anchor": "end" }, `← output ${what}`));
  const most = off.reduce((a, b) => (b[0] > a[0] ? b : a), [0]);
  const found = off.length ? ` Here ${off.length} cell${off.length > 1 ? "s" : ""} off the diagonal moved; the largest is output ${what} ${most[1]} with input ${what} ${most[2]}.` : " Here nothing off the diagonal moved.";
  const means = axis === "time" ? "In a causal layer nothing above the diagonal moves." : "If samples are independent, nothing off the diagonal moves.";
  const caption = `Row i is output ${what} i, column j the input ${what} that was replaced; the number is how far that output moved at most. ${means}${found}`;
  svg.setAttribute("aria-label", caption);
  const legend = element("div", null, { class: "legend" });
  if (moved.length) legend.append(element("span", `moved by ${number(low)}`), element("span", null, { class: "scale" }), element("span", `${number(high)} (${isWide ? "logarithmic" : "linear"})`));
  legend.append(element("i"), element("span", "0: bitwise unchanged"));
  if (rows.flat().some((v) => v === Infinity)) legend.append(element("i", null, { class: "inf" }), element("span", "∞: became NaN or infinite, or changed its shape"));
  if (rows.flat().some(Number.isNaN)) legend.append(element("i", null, { class: "untried" }), element("span", "not tried"));
  legend.append(element("span", `dashed: the same ${what}`));
  const words = element("div", null, { class: "words" }), made = element("figure", null, { class: "beside" });
  words.append(element("figcaption", caption), legend);
  if (size < 30) words.append(folded("The numbers", () => table(["", ...rows[0].map((_, j) => `input ${j}`)], rows.map((row, i) => [`output ${i}`, ...row.map((v) => (Number.isFinite(v) ? v : String(v)))]))));
  made.append(svg, words);
  return made;
}
function folded(title, make) {
  const made = element("details", null, { class: "folded" }), place = element("div", null, { class: "scroll" });
  made.append(element("summary", title), place);
  whenOpened(made, () => place.replaceChildren(make()));
  return made;
}
function track(...marks) {
  const made = element("span", null, { class: "track" });
  for (const [kind, style] of marks) { const mark = element("span", null, { class: kind }); Object.assign(mark.style, style); made.append(mark); }
  return made;
}
function measured(rows, key) {
  const all = rows.flatMap((row) => [value(row[key]), value(row.allowed), value(row.rounding ?? 0)]).filter((v) => v > 0 && v < Infinity);
  const low = Math.log10(Math.min(...all)) - 0.4, high = Math.log10(Math.max(...all)) + 0.4, made = element("div", null, { class: "bars" });
  const at = (v) => `${v <= 0 ? 0 : v === Infinity ? 100 : 100 * (Math.log10(v) - low) / (high - low)}%`;
  for (const row of rows) {
    const v = value(row[key]), allowed = value(row.allowed), isOver = !(v <= allowed), marks = [[`bar${isOver ? " over" : ""}`, { width: at(v) }], ["limit", { left: at(allowed) }]];
    if (row.rounding > 0) marks.push(["rounding", { left: at(row.rounding) }]);
    made.append(element("span", row.name), track(...marks), element("span", `${isOver ? "✗" : "✓"} ${Number.isFinite(v) ? number(v) : "NaN or infinite"}, allowed ${number(allowed)}`, { class: isOver ? "bad" : "" }));
  }
  const rounding = rows.some((row) => row.rounding > 0) ? " Dotted: the error from rounding inputs and weights to the dtype alone." : "";
  return figure(`Bar: the largest ${key}, on a logarithmic scale from ${number(10 ** low)} to ${number(10 ** high)}. Line: the largest that is allowed.${rounding}`, made);
}
function slopes(rows) {
  const all = rows.flatMap((row) => [value(row.slope), value(row.gradient)]).filter(Number.isFinite), low = Math.min(0, ...all), span = Math.max(0, ...all) - low || 1;
  const at = (v) => `${3 + 94 * ((Number.isFinite(v) ? v : low) - low) / span}%`, made = element("div", null, { class: "bars" });
  for (const row of rows) {
    const isOver = !(Math.abs(value(row.slope) - value(row.gradient)) <= value(row.allowed));
    made.append(element("span", row.name), track(["naught", { left: at(0) }], ["dot", { left: at(value(row.slope)) }], ["dot gradient", { left: at(value(row.gradient)) }]),
      element("span", `${isOver ? "✗" : "✓"} slope ${said(row.slope)}, gradient ${said(row.gradient)}`, { class: isOver ? "bad" : "" }));
  }
  return figure(`Ring: the slope by finite differences along a random direction. Diamond: the slope from the gradient. They should coincide. Thin line: 0; the axis runs from ${number(low)} to ${number(low + span)}.`, made);
}

function pictures(evidence) {
  const isRows = (rows, ...keys) => Array.isArray(rows) && rows.length && keys.every((key) => rows[0] && Object.hasOwn(rows[0], key)), shown = [], left = {};
  for (const [name, given] of Object.entries(evidence)) {
    if (name === "influence_axis") continue;
    if (name === "influence_map" && given.length && given[0].length) shown.push(influenceMap(given, evidence.influence_axis));
    else if (isRows(given, "name", "slope", "gradient", "allowed")) shown.push(slopes(given));
    else if (isRows(given, "name", "error", "allowed")) shown.push(measured(given, "error"));
    else if (isRows(given, "name", "difference", "allowed")) shown.push(measured(given, "difference"));
    else left[name] = given;
  }
  const plain = tables(left), figure = element("figure", null, { class: "scroll" });
  figure.append(...plain);
  return plain.length ? [...shown, figure] : shown;
}
function tables(evidence) {
  const isFlat = (each) => each === null || typeof each !== "object", simple = [], made = [], words = (name) => name.replaceAll("_", " ");
  for (const [name, given] of Object.entries(evidence)) {
    if (isFlat(given)) simple.push([words(name), said(given)]);
    else if (Array.isArray(given) && given.every(isFlat)) simple.push([words(name), given.length ? given.slice(0, 100).map(said).join(", ") : "none"]);
    else if (Array.isArray(given) && given.every((each) => !isFlat(each) && !Array.isArray(each))) {
      const heads = [...new Set(given.flatMap(Object.keys))];
      made.push(captioned(words(name), table(heads, given.slice(0, 100).map((each) => heads.map((head) => (head in each ? said(each[head]) : ""))))));
    } else if (!Array.isArray(given) && Object.values(given).every((each) => isFlat(each) || (Array.isArray(each) && each.every(isFlat)))) made.push(captioned(words(name), table(["name", "value"], Object.entries(given).map(([key, each]) => [key, Array.isArray(each) ? each.map(said).join(", ") : said(each)]))));
    else made.push(folded(words(name), () => element("pre", JSON.stringify(given, null, 1).slice(0, 8000))));
  }
  if (simple.length) made.unshift(table(["evidence", "value"], simple));
  return made;
}
function captioned(name, made) {
  made.prepend(element("caption", name));
  return made;
}
function whenOpened(details, fill) {
  let isFilled = false;
  const once = () => { if (!isFilled) { isFilled = true; fill(); } };
  details.addEventListener("toggle", () => { if (details.open) once(); });
  details.fill = once;
}
