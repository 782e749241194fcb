function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
function number(value) {
  if (value === null || value === undefined) return "not recorded";
  if (value === 0 || (Math.abs(value) >= 0.001 && Math.abs(value) < 1e5)) return String(+value.toPrecision(4));
  return value.toExponential(2);
}
function table(heads, rows) {
  const made = element("table"), head = element("tr");
  for (const each of heads) head.append(element("th", each, { scope: "col" }));
  made.append(head);
  for (const row of rows) {
    const line = element("tr");
    for (const cell of row) line.append(element("td", typeof cell === "number" ? number(cell) : cell, typeof cell === "number" ? { class: "number" } : {}));
    made.append(line);
  }
  return made;
}
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
