const rows = new Map(), list = document.getElementById("cases"), status = document.getElementById("status");
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const isCard = (row) => ["bad", "warn"].includes(KINDS[outcomeOf(row)]) || outcomeOf(row) === "note";

function drawCases() {
  list.style.setProperty("--backends", report.backends.length);
  const heads = element("div", null, { class: "grid heads", "aria-hidden": "true" });
  heads.append(element("span", "case"), ...report.backends.map((backend) => element("span", backend)));
  list.append(heads);
  for (const one of report.cases) {
    const details = element("details", null, { class: "case" }), summary = element("summary", null, { class: "grid" }), name = element("div", null, { class: "name" });
    name.append(element("b", one.layer), element("span", one.case));
    summary.append(name, ...report.backends.map((backend) => cell(one, backend)));
    details.append(summary, element("div", null, { class: "inside" }));
    details.addEventListener("toggle", () => { if (details.open) drawInside(one); });
    rows.set(one, details);
    list.append(details);
  }
}
function cell(one, backend) {
  const made = element("div", null, { class: "cell", "data-backend": backend }), run = one.runs[backend];
  if (!run) { made.append(element("span", "not checked", { class: "quiet" })); return made; }
  const ofKind = (kind) => run.findings.filter((row) => KINDS[outcomeOf(row)] === kind), failed = ofKind("bad"), warned = ofKind("warn");
  const isKnown = failed.length && failed.every((row) => row[DEFECT] >= 0);
  const words = failed.length ? `✗ ${failed.length} failed${isKnown ? " (known)" : ""}` : warned.length ? `! ${tally(warned)}` : `✓ ${ofKind("good").length} passed`;
  made.append(element("b", words, { class: failed.length ? "bad" : warned.length ? "warn" : "good" }));
  const strip = element("span", null, { class: "strip", "aria-hidden": "true" }), worst = new Map();
  for (const row of run.findings) {
    const family = familyOf(report.checks[row[CHECK]]), place = WORST.indexOf(outcomeOf(row));
    worst.set(family, Math.min(place, worst.get(family) ?? place));
  }
  for (const family of [...families.keys()].sort((a, b) => a.slice(2) - b.slice(2))) {
    const outcome = WORST[worst.get(family)], mark = outcome ? report.outcomes.find((each) => each.name === outcome).mark : " ";
    strip.append(element("span", mark, { class: outcome ? KINDS[outcome] : "", title: `${family} ${families.get(family).join(", ")}: ${outcome || "not run"}` }));
  }
  made.append(strip);
  return made;
}

function tally(found) {
  const count = (outcome) => found.filter((row) => outcomeOf(row) === outcome).length;
  return WORST.filter(count).map((outcome) => `${count(outcome)} ${outcome}`).join(", ");
}

function grouped(one) {
  const groups = new Map();
  for (const each of findingsOf(one)) {
    if (each.id !== filters.linked && !matches(one, each.backend, each.row)) continue;
    const key = [each.row[CHECK], each.row[OUTCOME], each.row[ALIKE]].join();
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(each);
  }
  return [...groups.values()].sort((a, b) => a[0].row[CHECK] - b[0].row[CHECK]);
}
function drawInside(one) {
  const details = rows.get(one), inside = details.querySelector(".inside"), asked = hash();
  if (details.drawn === asked) return;  // as the toggle that follows opening it by script
  details.drawn = asked;
  const groups = grouped(one), seconds = Object.entries(one.runs).map(([backend, run]) => `${backend} ${run.seconds} s`);
  inside.replaceChildren(element("p", [one.target, ...one.notes, seconds.join(", ")].join(" · "), { class: "about" }));
  const rest = groups.filter((group) => !isCard(group[0].row));
  inside.append(...groups.filter((group) => isCard(group[0].row)).map(card));
  for (const outcome of WORST) {
    const found = rest.filter((group) => outcomeOf(group[0].row) === outcome);
    if (found.length) inside.append(others(outcome, found));
  }
  if (!groups.length) inside.append(element("p", "No findings match the filters.", { class: "none" }));
}
function others(outcome, groups) {
  const made = element("details", null, { class: "rest" }), place = element("div"), mark = report.outcomes.find((each) => each.name === outcome).mark;
  made.append(element("summary", `${mark} ${plural(groups.length, "check")} ${outcome}`), place);
  whenOpened(made, () => place.replaceChildren(...groups.map(brief)));
  if (filters.outcome.has(outcome) || (isFiltered() && groups.length <= 12) || groups.flat().some((each) => each.id === filters.linked)) { made.open = true; made.fill(); }
  return made;
}
function brief(group) {
  const { row } = group[0], check = report.checks[row[CHECK]], made = element("details", null, { class: "brief" }), summary = element("summary"), place = element("div");
  summary.append(element("b", `${check.code} ${check.slug}`), ` ${report.texts[row[MESSAGE]] || check.title}`);
  made.append(summary, place);
  whenOpened(made, () => place.replaceChildren(where(group), body(group, false)));
  marked(made, group);
  if (made.classList.contains("linked")) { made.open = true; made.fill(); }
  return made;
}
function card(group) {
  const { row } = group[0], check = report.checks[row[CHECK]], kind = KINDS[outcomeOf(row)], made = element("article", null, { class: `is-${kind}` }), head = element("div");
  head.append(element("span", `${report.outcomes[row[OUTCOME]].mark} ${outcomeOf(row)}`, { class: `badge ${kind}` }), element("h3", `${check.code} ${check.slug}`), where(group));
  made.append(head, body(group, true));
  marked(made, group);
  return made;
}
function marked(made, group) {
  const linked = group.find((each) => each.id === filters.linked);
  made.id = (linked || group[0]).id;
  if (linked) { made.classList.add("linked"); made.tabIndex = -1; }
}
function where(group) {
  const made = element("span", null, { class: "where" }), copy = element("button", "copy link", { type: "button" });
  for (const each of group) made.append(element("a", each.backend, { href: `#${each.id}`, title: `Link to this finding on ${each.backend}` }));
  copy.addEventListener("click", async () => {
    const { id } = group.find((each) => each.id === filters.linked) || group[0];
    history.replaceState(null, "", hash(filters.linked = id));
    try { await navigator.clipboard.writeText(location.href.split("#")[0] + `#${id}`); copy.textContent = "copied"; }
    catch { copy.textContent = "link is in the address bar"; }  // browsers refuse the clipboard to a page from disk
  });
  made.append(copy);
  return made;
}
function body(group, isOpen) {
  const { row } = group[0], check = report.checks[row[CHECK]], made = element("div"), facts = element("dl");
  const add = (name, text, kind = "") => { if (text) facts.append(element("dt", name), element("dd", text, { class: kind })); };
  const messages = new Map();
  for (const each of group) messages.set(report.texts[each.row[MESSAGE]], [...(messages.get(report.texts[each.row[MESSAGE]]) || []), each.backend]);
  for (const [text, backends] of messages) add(messages.size > 1 ? `observed on ${backends.join(", ")}` : isOpen ? "observed" : "", text);
  add(isOpen ? "why it matters" : "what it checks", isOpen ? check.why : check.title, "why");
  add("fix", report.texts[row[FIX]]);
  made.append(facts);
  if (row[DEFECT] >= 0) made.append(folded(`Known defect: ${report.defects[row[DEFECT]].title}`, () => element("pre", report.defects[row[DEFECT]].body)));
  const shown = new Map();
  for (const each of group) shown.set(each.row[EVIDENCE], [...(shown.get(each.row[EVIDENCE]) || []), each.backend]);
  let isFirst = true;
  for (const [place, backends] of shown) {
    if (!Object.keys(report.evidence[place]).length) continue;
    made.append(isFirst ? figures(place, shown.size > 1 ? backends : []) : folded(`Values on ${backends.join(", ")}`, () => figures(place, [])));
    isFirst = false;
  }
  return made;
}
function figures(place, backends) {
  const made = element("div", null, { class: "figures" });
  if (backends.length) made.append(element("div", `on ${backends.join(", ")}`, { class: "quiet on" }));
  made.append(...pictures(report.evidence[place]));
  return made;
}

function show() {
  showFilters();
  let cases = 0, findings = 0;
  for (const [one, details] of rows) {
    let here = 0, isLinked = false;
    for (const each of findingsOf(one)) {
      if (matches(one, each.backend, each.row)) here += 1;
      if (each.id === filters.linked) isLinked = true;
    }
    details.hidden = !here && !isLinked && (isFiltered() || Boolean([...findingsOf(one)].length));
    if (!details.hidden) { cases += 1; findings += here; if (details.open) drawInside(one); }
  }
  const words = `${cases} of ${plural(rows.size, "case")}, ${plural(findings, "finding")} shown`;
  const button = (text, does) => { const made = element("button", text, { type: "button" }); made.addEventListener("click", does); return made; };
  const openAll = (isOpen) => () => { for (const [one, details] of rows) if (!details.hidden) { if (isOpen) drawInside(one); details.open = isOpen; } };
  status.replaceChildren(element("span", words), button("Open all", openAll(true)), button("Close all", openAll(false)));
  if (isFiltered()) status.append(button("Clear filters", () => { for (const name of ["outcome", "family", "backend"]) filters[name].clear(); filters.text = ""; changed(); }));
}
function changed() {
  history.replaceState(null, "", hash() === "#" ? location.pathname + location.search : hash());
  show();
}
function follow() {
  readHash();
  const one = caseOf(filters.linked);
  if (!one) filters.linked = "";
  show();
  if (!one) return;
  rows.get(one).open = true;
  drawInside(one);
  const target = document.getElementById(filters.linked);
  target.scrollIntoView({ block: "start" });
  target.focus({ preventScroll: true });
}

(function start() {
  const failed = report.cases.filter((one) => [...findingsOf(one)].some((each) => KINDS[outcomeOf(each.row)] === "bad")).length;
  const unknown = report.cases.flatMap((one) => [...findingsOf(one)].map((each) => ({ ...each, layer: one.layer }))).filter((each) => KINDS[outcomeOf(each.row)] === "bad" && each.row[DEFECT] < 0);
  document.getElementById("about").textContent = `Layerwright ${report.layerwright}, Keras ${report.keras}, on ${report.backends.join(", ") || "no backend"}`;
  const verdict = document.getElementById("verdict");
  verdict.append(element("b", failed ? `✗ ${failed} of ${plural(report.cases.length, "case")} failed` : report.cases.length ? "✓ No failures" : "No checks ran", { class: failed ? "bad" : "good" }));
  if (report.defects.length) {
    verdict.append(unknown.length ? `; no known defect explains ${plural(unknown.length, "finding")}: ` : "; known defects explain every failure");
    unknown.slice(0, 10).forEach((each, place) => verdict.append(place ? ", " : "", element("a", `${report.checks[each.row[CHECK]].code} ${each.layer} on ${each.backend}`, { href: `#${each.id}` })));
    if (unknown.length > 10) verdict.append(" …");
  }
  verdict.append(".");
  const legend = document.querySelector("#legend div"), signs = report.outcomes.map((outcome) => `${outcome.mark} ${outcome.name}`).join(", ");
  legend.append(element("p", `Each row is a case: a layer, its constructor arguments and its inputs. Each column is a backend. Each symbol under a result stands for a family of checks (${[...families].map(([code, names]) => `${code} ${names.join(" and ")}`).join(", ")}) and shows the worst outcome in that family: ${signs}.`),
    element("p", "The address of this page contains the filters, so you can share it as it is. A link to a finding always shows that finding, whatever the filters. layerwright explain CODE prints more about a check."));
  drawFilters(changed);
  drawCases();
  addEventListener("hashchange", follow);
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...rows.values()].filter((details) => !details.hidden && !details.open);
    for (const [one, details] of rows) if (!details.hidden) { if (!details.open) drawInside(one); details.open = true; details.querySelectorAll("details.rest").forEach((each) => { if (isFiltered()) { each.open = true; each.fill(); } }); }
  });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));
  if (report.cases.length === 1) { rows.get(report.cases[0]).open = true; drawInside(report.cases[0]); }
  follow();
})();
