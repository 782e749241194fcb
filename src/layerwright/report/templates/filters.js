const report = JSON.parse(document.getElementById("data").textContent);
const [CHECK, OUTCOME, MESSAGE, ALIKE, FIX, EVIDENCE, SECONDS, DEFECT] = [0, 1, 2, 3, 4, 5, 6, 7];
const KINDS = { failed: "bad", errored: "bad", xpassed: "bad", warned: "warn", xfailed: "warn", note: "good", passed: "good", inconclusive: "quiet", blocked: "quiet", skipped: "quiet" };
const WORST = ["failed", "errored", "xpassed", "warned", "xfailed", "inconclusive", "blocked", "note", "passed", "skipped"];
const familyOf = (check) => check.code.slice(0, -2), outcomeOf = (row) => report.outcomes[row[OUTCOME]].name;
const families = new Map();
for (const check of report.checks) families.set(familyOf(check), [...new Set([...(families.get(familyOf(check)) || []), ...(check.family ? [check.family] : [])])]);

const filters = { outcome: new Set(), family: new Set(), backend: new Set(), text: "", linked: "" };
const lower = report.texts.map((text) => text.toLowerCase()), checkWords = report.checks.map((check) => `${check.code} ${check.slug} ${check.title}`.toLowerCase());
for (const each of report.cases) each.words = `${each.layer} ${each.target} ${each.case}`.toLowerCase();

function isFiltered() {
  return Boolean(filters.outcome.size || filters.family.size || filters.backend.size || filters.text);
}
function matches(one, backend, row) {
  const holds = (name, entry) => !filters[name].size || filters[name].has(entry), words = filters.text;
  return holds("outcome", outcomeOf(row)) && holds("family", familyOf(report.checks[row[CHECK]])) && holds("backend", backend) &&
    (!words || one.words.includes(words) || checkWords[row[CHECK]].includes(words) || lower[row[MESSAGE]].includes(words) || lower[row[FIX]].includes(words));
}
function* findingsOf(one) {
  for (const [backend, run] of Object.entries(one.runs)) {
    const times = new Map();
    for (const row of run.findings) {
      const code = report.checks[row[CHECK]].code, count = (times.get(code) || 0) + 1;
      times.set(code, count);
      yield { backend, row, id: `${code}-${backend}-${one.slug}${count > 1 ? `~${count}` : ""}` };
    }
  }
}
function caseOf(id) {
  const slug = /^LW\d+-[a-z]+-(.+?)(~\d+)?$/.exec(id);
  return slug && report.cases.find((one) => one.slug === slug[1] && [...findingsOf(one)].some((each) => each.id === id));
}

function hash(linked = filters.linked) {
  const parts = linked ? [linked] : [];
  for (const name of ["outcome", "family", "backend"]) if (filters[name].size) parts.push(`${name}=${[...filters[name]].join(",")}`);
  if (filters.text) parts.push(`text=${encodeURIComponent(filters.text)}`);
  return `#${parts.join("&")}`;
}
function readHash() {
  for (const name of ["outcome", "family", "backend"]) filters[name].clear();
  Object.assign(filters, { text: "", linked: "" });
  for (const part of location.hash.slice(1).split("&")) {
    const [name, given] = part.split("=");
    try {
      if (given === undefined) filters.linked = decodeURIComponent(name);
      else if (name === "text") filters.text = decodeURIComponent(given).toLowerCase();
      else if (filters[name] instanceof Set) given.split(",").filter(Boolean).forEach((each) => filters[name].add(each));
    } catch (error) { if (!(error instanceof URIError)) throw error; }
  }
}
function counted() {
  const counts = { outcome: new Map(), family: new Map(), backend: new Map() };
  for (const one of report.cases) for (const { backend, row } of findingsOf(one)) {
    for (const [name, entry] of [["outcome", outcomeOf(row)], ["family", familyOf(report.checks[row[CHECK]])], ["backend", backend]]) counts[name].set(entry, (counts[name].get(entry) || 0) + 1);
  }
  return counts;
}
function drawFilters(changed) {
  const form = document.getElementById("filters"), counts = counted(), numbered = (code) => +code.slice(2);
  const names = { outcome: WORST.filter((each) => counts.outcome.has(each)), family: [...families.keys()].sort((a, b) => numbered(a) - numbered(b)), backend: report.backends };
  const marks = Object.fromEntries(report.outcomes.map((outcome) => [outcome.name, outcome.mark]));
  for (const [name, entries] of Object.entries(names)) {
    const group = element("div", null, { class: "choices", role: "group", "aria-label": `Filter by ${name}` });
    for (const entry of entries) {
      const label = name === "outcome" ? `${marks[entry]} ${entry}` : name === "family" ? `${entry} ${families.get(entry).join(", ")}` : entry;
      const button = element("button", label, { type: "button", "data-filter": name, "data-entry": entry });
      button.append(element("small", String(counts[name].get(entry))));
      button.addEventListener("click", () => { filters[name].has(entry) ? filters[name].delete(entry) : filters[name].add(entry); changed(); });
      group.append(button);
    }
    form.append(element("span", name), group);
  }
  const field = element("input", null, { type: "search", id: "text", placeholder: "layer, code, message …", autocomplete: "off" });
  field.addEventListener("input", () => { filters.text = field.value.trim().toLowerCase(); changed(); });
  form.append(element("label", "text", { for: "text" }), field);
  form.addEventListener("submit", (event) => event.preventDefault());
}
function showFilters() {
  for (const button of document.querySelectorAll("#filters button")) button.setAttribute("aria-pressed", filters[button.dataset.filter].has(button.dataset.entry));
  const field = document.getElementById("text");
  if (field.value.trim().toLowerCase() !== filters.text) field.value = filters.text;
}
