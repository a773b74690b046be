"use strict";
// Plays an episode that was recorded: the page holds all of it.
const view = JSON.parse($("episode").textContent);
const last = Math.max(...view.walks.map((walk) => walk.path.length - 1));
let at = 0, timer = null;

function paint() {
  [...$("panels").children].forEach((figure, n) => {
    const walk = view.walks[n], end = walk.path.length - 1, over = walk.over && at >= end;
    showWalk(figure, view, { ...walk, path: walk.path.slice(0, at + 1), over });
  });
  $("at").value = at;
  $("at-value").textContent = `${at} of ${last}`;
  $("go").textContent = timer ? "Pause" : at === last ? "Run again" : "Run";
  document.body.dataset.step = at;
}

function stop() {
  clearInterval(timer);
  timer = null;
}

$("panels").append(...view.walks.map(() => {
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  return element("figure", {}, canvas, element("figcaption"));
}));
$("at").max = last;
$("at").oninput = () => { stop(); at = Number($("at").value); paint(); };
$("go").onclick = () => {
  if (timer) { stop(); return paint(); }
  if (at === last) at = 0;
  timer = setInterval(() => { if (at < last) at += 1; if (at === last) stop(); paint(); }, 120);
  return paint();
};
showKey(view.scene.kind === "grid", Boolean(view.meant));
showBelief(view.belief, view.denoted);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
new ResizeObserver(paint).observe($("panels"));
paint();
