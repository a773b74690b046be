"use strict";
// Plays an episode that was recorded: the page holds all of it.
const view = JSON.parse($("episode").textContent);
const last = Math.max(...view.walks.map((walk) => walk.path.length - 1));
let at = 0, timer = null;

// Pictures of each strategy's steps, where there is no map.
const pictures = (view.frames || []).map((frames) => frames.map((src) => src && Object.assign(new Image(), { src, onload: () => paint() })));

function paint() {
  [...$("panels").children].forEach((figure, n) => {
    const walk = view.walks[n], end = walk.path.length - 1, over = walk.over && at >= end;
    const shown = pictures[n] && pictures[n].slice(0, at + 1).findLast((picture) => picture && picture.naturalWidth);
    showWalk(figure, view, { ...walk, path: walk.path.slice(0, at + 1), over }, { picture: shown });
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
  timer = setInterval(() => { if (at < last) at += 1; if (at === last) stop(); paint(); }, 1000 / view.scene.rate);
  return paint();
};
showKey(view, Boolean(view.meant));
showBelief(view);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
new ResizeObserver(paint).observe($("panels"));
paint();
