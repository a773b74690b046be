// Sort a table by the column whose heading is pressed; the largest value first, then the smallest.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
    const falling = head.getAttribute("aria-sort") !== "descending";
    const column = [...head.parentNode.children].indexOf(head);
    const value = (row) => parseFloat(row.children[column].dataset.value ?? "NaN");
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return falling ? y - x : x - y;
    });
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    body.append(...rows);
  });
}

// Episodes are drawn as in the playground, anew where the width or the colours change.
for (const canvas of document.querySelectorAll("canvas[data-view]")) {
  const view = JSON.parse(canvas.dataset.view), paint = () => LangrlDraw.draw(canvas, view);
  new ResizeObserver(paint).observe(canvas.parentNode);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
}
