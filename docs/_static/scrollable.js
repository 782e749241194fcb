// What is wider than the page scrolls by itself; with the keyboard it does so only if it can have the focus.
document.addEventListener("DOMContentLoaded", () => {
  const mark = () => {
    for (const box of document.querySelectorAll("pre, .table-wrapper, .toc-scroll, .sidebar-scroll")) {
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (scrolls) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
    }
  };
  mark();
  window.addEventListener("resize", mark);
});
