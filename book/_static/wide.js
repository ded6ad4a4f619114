// An inline formula cannot break: where it is wider than its line (a phone), it scrolls instead of widening the page.
(() => {
  const mark = () => {
    document.querySelectorAll('mjx-container:not([display="true"])').forEach((formula) => {
      formula.classList.remove("lr-wide");
      const block = formula.closest("p, li, dd, td, th, div");
      if (block && formula.getBoundingClientRect().width > block.clientWidth) formula.classList.add("lr-wide");
    });
  };
  window.addEventListener("load", () => {
    if (!window.MathJax || !MathJax.startup) return;
    MathJax.startup.promise.then(mark);
    window.addEventListener("resize", mark);
  });
})();
