const run = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main"), tip = document.getElementById("tip");
const KINDS = { activation: "Activations", activation_gradient: "Gradients by activations", weight: "Weights", weight_gradient: "Gradients by weights" };
const ORDER = ["std", "mean", "norm", "min", "max", "zero_fraction", "dead_fraction", "shift", "relative_shift", "update_ratio", "nonfinite"];
const SAYS = {
  mean: "mean of the elements", std: "standard deviation of the elements", norm: "Euclidean norm of the recorded elements",
  min: "smallest element", max: "largest element", zero_fraction: "fraction of elements that are exactly 0",
  dead_fraction: "fraction of units that are 0 for every recorded sample", nonfinite: "number of NaN and infinite elements",
  shift: "distance between the feature means of this batch and of the previous one", relative_shift: "that distance divided by the size of the feature means",
  update_ratio: "size of the update divided by the size of the weight", n: "number of recorded elements",
};
const VIRIDIS = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];
const DIVERGING = [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]];

function shade(colours, share) {
  const place = Math.min(Math.max(share, 0), 1) * (colours.length - 1), low = Math.min(Math.floor(place), colours.length - 2);
  return colours[low].map((from, i) => Math.round(from + (colours[low + 1][i] - from) * (place - low)));
}
function scale(values) {
  const known = values.filter((v) => v !== null && Number.isFinite(v));
  const low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!known.length) return { colours: VIRIDIS, share: () => 0, ends: ["", ""], how: "no values" };
  if (low < 0 && high > 0) {
    const most = Math.max(-low, high);
    return { colours: DIVERGING, share: (v) => (v / most + 1) / 2, ends: [-most, most], how: "linear, white is 0" };
  }
  const positive = known.filter((v) => v > 0), least = positive.reduce((a, b) => Math.min(a, b), Infinity);
  if (low >= 0 && high / least > 100) {
    const from = Math.log10(Math.max(least, high * 1e-12)), span = Math.log10(high) - from || 1;
    return { colours: VIRIDIS, share: (v) => (v > 0 ? 0.08 + 0.92 * (Math.log10(v) - from) / span : 0), ends: [10 ** from, high], how: "logarithmic, darkest is 0" };
  }
  return { colours: VIRIDIS, share: (v) => (high > low ? (v - low) / (high - low) : 0.5), ends: [low, high], how: "linear" };
}
function heatMap(rows, steps, value, options = {}) {
  const figure = element("figure"), map = element("div", null, { class: "map" }), labels = element("div", null, { class: "rows" });
  const height = Math.min(22, 640 / Math.max(rows.length, 1)), every = options.every || (height < 13 ? Math.ceil(rows.length / 8) : 1);
  const canvas = element("canvas", null, { width: steps.length, height: rows.length, role: "img", "aria-label": options.title || "heat map" });
  canvas.style.height = `${height * rows.length}px`;
  for (let i = 0; i < rows.length; i += every) {
    const row = rows[i], label = element("div", row, { title: row });
    label.style.height = `${height * Math.min(every, rows.length - i)}px`; label.style.lineHeight = `${Math.min(22, height * every)}px`;
    if (options.alerted && options.alerted.has(row)) label.className = "alerted";
    labels.append(label);
  }
  const all = []; rows.forEach((row, i) => steps.forEach((step, j) => all.push(value(i, j))));
  const colour = options.scale || scale(all), context = canvas.getContext("2d"), pixels = context.createImageData(steps.length || 1, rows.length || 1);
  all.forEach((v, k) => {
    const known = v !== null && v !== undefined && Number.isFinite(v), rgb = known ? shade(colour.colours, colour.share(v)) : [128, 128, 128];
    pixels.data.set([...rgb, known ? 255 : 60], 4 * k);
  });
  context.putImageData(pixels, 0, 0);
  canvas.addEventListener("mousemove", (event) => {
    const box = canvas.getBoundingClientRect();
    const j = Math.min(steps.length - 1, Math.floor((event.clientX - box.left) / box.width * steps.length));
    const i = Math.min(rows.length - 1, Math.floor((event.clientY - box.top) / box.height * rows.length));
    if (i < 0 || j < 0) return;
    tip.textContent = `${rows[i]}, step ${steps[j]}: ${number(value(i, j))}`;
    tip.style.display = "block";
    tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`; tip.style.top = `${event.clientY + 14}px`;
  });
  canvas.addEventListener("mouseleave", () => { tip.style.display = "none"; });
  const axis = element("div", null, { class: "axis" });
  axis.append(element("span", `step ${steps[0]}`), element("span", `step ${steps[steps.length - 1]}`));
  const legend = element("div", null, { class: "legend" }), bar = element("i");
  bar.style.background = `linear-gradient(to right, ${colour.colours.map((rgb) => `rgb(${rgb})`).join(", ")})`;
  legend.append(element("span", number(colour.ends[0])), bar, element("span", number(colour.ends[1])), element("span", `(${colour.how})`));
  map.append(labels, canvas, axis); figure.append(map, legend);
  if (options.caption) figure.append(element("figcaption", options.caption));
  return figure;
}
function chooser(parent, names, draw, label) {
  const bar = element("div", null, { class: "choices", role: "group", "aria-label": label }), place = element("div");
  const show = (name) => {
    for (const each of bar.children) each.setAttribute("aria-pressed", each.textContent === name);
    place.replaceChildren(draw(name));
  };
  for (const name of names) {
    const button = element("button", name, { type: "button" });
    button.addEventListener("click", () => show(name));
    bar.append(button);
  }
  parent.append(bar, place);
  if (names.length) show(names[0]);
}
function menu(parent, names, draw, label) {
  const select = element("select", null, { "aria-label": label }), place = element("div");
  for (const name of names) select.append(element("option", name));
  select.addEventListener("change", () => place.replaceChildren(draw(select.value)));
  parent.append(select, place);
  if (names.length) place.replaceChildren(draw(names[0]));
}
function section(title, says) {
  const made = element("section");
  made.append(element("h2", title));
  if (says) made.append(element("p", says));
  main.append(made);
  return made;
}

const steps = [...new Set(run.series.flatMap((each) => each.steps))].sort((a, b) => a - b);
document.getElementById("about").textContent =
  `${run.about.model || "a model"} on ${run.about.backend || "an unknown backend"}, recorded at ${steps.length} step${steps.length === 1 ? "" : "s"}, ${steps[0]} to ${steps[steps.length - 1]}`;

(function alerts() {
  const part = section("Alerts", run.alerts.length ? "Every alert on the timeline of the run, then one row for each rule and tensor." : null);
  if (!run.alerts.length) { part.append(element("p", "No alerts: no rule fired, or no rules were given.", { class: "none" })); return; }
  const line = element("div", null, { class: "timeline" }), span = steps[steps.length - 1] - steps[0] || 1;
  for (const alert of run.alerts) {
    const mark = element("b", null, { title: alert.message });
    mark.style.left = `${100 * (alert.step - steps[0]) / span}%`;
    line.append(mark);
  }
  const found = new Map();
  for (const alert of run.alerts) {
    const key = `${alert.rule} ${alert.kind} ${alert.tensor}`;
    if (!found.has(key)) found.set(key, { ...alert, times: 0 });
    found.get(key).times += 1;
  }
  part.append(line, table(["rule", "tensor", "first step", "count", "message"],
    [...found.values()].map((each) => [each.rule, each.tensor, each.step, each.times, each.message.replace(/^[^:]*: /, "")])));
})();

for (const [kind, title] of Object.entries(KINDS)) {
  const found = run.series.filter((each) => each.kind === kind);
  if (!found.length) continue;
  const part = section(title, "Each row is a tensor, each column a recorded step. Hover over a cell to see its value.");
  const names = [...new Set(found.flatMap((each) => Object.keys(each.values)))].filter((name) => name !== "n")
    .sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
  const alerted = new Set(run.alerts.filter((alert) => alert.kind === kind).map((alert) => alert.tensor));
  const places = found.map((each) => new Map(each.steps.map((step, at) => [step, at])));
  chooser(part, names, (name) => heatMap(found.map((each) => each.tensor), steps, (i, j) => {
    const at = places[i].get(steps[j]);
    return at === undefined || !found[i].values[name] ? null : found[i].values[name][at];
  }, { alerted, title: `${title}: ${name}`, caption: `${name}: ${SAYS[name] || ""}.` }), `statistic of ${title.toLowerCase()}`);
  const drawn = found.filter((each) => each.histograms.some((bins) => bins));
  if (!drawn.length) continue;
  part.append(element("h2", `${title}: histograms over time`));
  menu(part, drawn.map((each) => each.tensor), (tensor) => {
    const series = drawn.find((each) => each.tensor === tensor), known = series.histograms.filter((bins) => bins);
    const low = Math.min(...known.map((bins) => bins[0])), high = Math.max(...known.map((bins) => bins[1])), size = 48;
    const columns = series.histograms.map((bins) => {
      const counts = new Array(size).fill(0);
      if (!bins) return counts;
      const [from, to, inside] = bins, width = (to - from) / inside.length, wide = (high - low) / size || 1;
      inside.forEach((count, k) => {
        const start = from + k * width, end = start + width;
        for (let b = Math.max(0, Math.floor((start - low) / wide)); b < size && low + b * wide < end; b += 1) {
          const share = (Math.min(end, low + (b + 1) * wide) - Math.max(start, low + b * wide)) / width;
          if (share > 0) counts[b] += count * share;
        }
      });
      const total = inside.reduce((a, b) => a + b, 0) || 1;
      return counts.map((count) => count / total);
    });
    const rows = columns[0].map((_, b) => `${number(high - (b + 1) * (high - low) / size)} to ${number(high - b * (high - low) / size)}`);
    return heatMap(rows, series.steps, (i, j) => columns[j][size - 1 - i], { every: 6, title: `histogram of ${tensor}`,
      caption: `Fraction of the elements of ${tensor} that lie between ${number(low)} (bottom) and ${number(high)} (top).` });
  }, `tensor for the histogram of ${title.toLowerCase()}`);
}

const probed = Object.keys(run.probe);
if (probed.length) {
  const part = section("Probe set: which samples still change", "Relative change of each sample's activation since the previous recorded step. Rows that stay bright have not converged. The probe set is the same at every step, so differences between batches play no part.");
  chooser(part, probed, (tensor) => {
    const { steps: recorded, values } = run.probe[tensor];
    const late = values.slice(-Math.max(1, Math.floor(values.length / 4)));
    const moved = run.ids.map((_, i) => late.reduce((sum, change) => sum + (change[i] || 0), 0) / late.length);
    const order = run.ids.map((_, i) => i).sort((a, b) => moved[b] - moved[a]);
    return heatMap(order.map((i) => run.ids[i]), recorded, (i, j) => values[j][order[i]], { title: `probe set in ${tensor}`,
      caption: `Samples sorted by how much they changed in ${tensor} over the last quarter of the recorded steps.` });
  }, "tensor for the probe set");
}
if (run.samples.length) {
  const part = section("Probe set: how each sample is learned", "Confidence is the mean probability of the label over all recorded steps; variability is its standard deviation. A sample is forgotten when its prediction is correct at one recorded step and wrong at the next. Low confidence suggests that a sample is hard or mislabelled.");
  const labelled = run.samples[0].correctness !== null;
  const most = 50, rows = run.samples.map((each) => [each.id, each.confidence, each.variability, ...(labelled ? [each.correctness, each.forgetting_events] : []), each.flips, String(each.predicted)]);
  const heads = ["sample", "confidence", "variability", ...(labelled ? ["fraction correct", "times forgotten"] : []), "flips", "last prediction"], place = element("div");
  place.append(table(heads, rows.slice(0, most)));
  part.append(place);
  if (rows.length > most) {
    const all = element("button", `Show all ${rows.length}`, { type: "button" });
    all.addEventListener("click", () => { place.replaceChildren(table(heads, rows)); all.remove(); });
    part.append(all);
  }
}
