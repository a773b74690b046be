"use strict";
// What the playground and the page of an episode show alike.
const $ = (id) => document.getElementById(id);

function element(tag, fields = {}, ...children) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...children);
  return made;
}

function showKey({ scene, belief }, hasMeant) {
  if (scene.kind === "frames") return $("key").replaceChildren();
  const heat = scene.kind === "grid" ? "belief: goals, towards what they face" : belief && belief.points ? "belief: each dot is a goal" : "belief";
  const keys = [["k-agent", "agent"], ["k-path", "its way"], ["k-heat", heat], ["k-denoted", "what the words denote"]];
  if (hasMeant) keys.push(["k-goal", "what is meant"]);
  return $("key").replaceChildren(...keys.map(([name, text]) => element("li", {}, element("i", { className: name }), text)));
}

function showBelief({ belief: found, denoted, scene }) {
  if (!found) {
    $("entropy").textContent = "Nothing was said yet.";
    return $("ranked").replaceChildren();
  }
  $("entropy").textContent = `Entropy ${found.bits.toFixed(2)} bits: an even choice among ${(2 ** found.bits).toFixed(1)} ${scene.thing === "region" ? "regions" : "cells"}.`;
  const inside = new Set((denoted || []).map(String));
  return $("ranked").replaceChildren(...found.ranked.map(({ name, cell, p }) => {
    const meter = element("meter", { min: 0, max: 1, value: p });
    meter.setAttribute("aria-hidden", "true");
    const isIn = inside.has(String(cell)), share = p < 0.01 ? "< 1 %" : `${(100 * p).toFixed(0)} %`;
    const number = element("span", { className: "p", textContent: share, title: isIn ? "denoted by the words" : "" });
    return element("li", { className: isIn ? "in" : "" }, element("span", { textContent: name }), number, meter);
  }));
}

// The world as it is for a strategy: things that it has moved are elsewhere.
function sceneOf(view, walk) {
  const changed = walk.things.slice(0, walk.path.length).findLast((things) => things);
  return changed ? { ...view.scene, things: changed } : view.scene;
}

// Draws one strategy's walk, with its outcome in words below.
function showWalk(figure, view, walk, extra) {
  const steps = walk.path.length - 1, [canvas, caption] = figure.children;
  LangrlDraw.draw(canvas, { ...walk, scene: sceneOf(view, walk), belief: view.belief, denoted: view.denoted, meant: view.meant, ...extra });
  const outcome = LangrlDraw.outcome(walk, steps);
  const name = walk.over && walk.success ? "yes" : walk.over && walk.success === false ? "no" : "";
  caption.replaceChildren(element("b", { textContent: walk.strategy }), ": ", element("span", { textContent: outcome, className: name }));
  const [row, column] = walk.path[steps].map((number) => Math.floor(number));
  const place = row === undefined ? "" : `agent in row ${row}, column ${column}, `;
  canvas.setAttribute("aria-label", `${walk.strategy}, ${place}${outcome}`);
}
