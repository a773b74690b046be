"use strict";
// Draws a world, what is believed, and a walk, on a canvas. Colours are the page's CSS variables.
// Places are (row, column), 1 the side of a cell; in grid worlds (row, column, direction). A world
// of the kind "frames" has no map: what is shown is its own picture.
const LangrlDraw = (() => {
  const OBJECTS = { red: "#d8352a", green: "#2f9e44", blue: "#2f6fdb", purple: "#9a4fd6", yellow: "#e0aa00", grey: "#8a929c" };
  const AHEAD = [[0, 1], [1, 0], [0, -1], [-1, 0]]; // (row, column): east, south, west, north
  const NAMES = ["paper", "ink", "muted", "floor", "lines", "wall", "heat", "denoted", "path", "agent", "bad", "good", "accent"];

  function colours(canvas) {
    const style = getComputedStyle(canvas);
    return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim() || "#888"]));
  }

  // Where cells are on a canvas, in CSS pixels; the margin holds the numbers of rows and columns.
  function frame(canvas, scene, picture) {
    const width = canvas.clientWidth || 300;
    if (scene.kind === "frames") return { cell: width, margin: 0, width, height: Math.ceil(width * (picture ? picture.naturalHeight / picture.naturalWidth : 0.5)) };
    const margin = width < 360 ? 15 : 20;
    const cell = (width - margin) / scene.columns;
    return { cell, margin, width, height: Math.ceil(margin + cell * scene.rows) };
  }

  function cellAt(canvas, scene, x, y) {
    if (scene.kind === "frames") return null;
    const { cell, margin } = frame(canvas, scene);
    const row = (y - margin) / cell, column = (x - margin) / cell;
    if (row < 0 || column < 0 || row >= scene.rows || column >= scene.columns) return null;
    return { row, column };
  }

  function draw(canvas, view) {
    const { scene } = view, at = frame(canvas, scene, view.picture), scale = window.devicePixelRatio || 1;
    canvas.style.height = `${at.height}px`;
    canvas.width = Math.round(at.width * scale);
    canvas.height = Math.round(at.height * scale);
    const pen = canvas.getContext("2d"), colour = colours(canvas);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    if (scene.kind === "frames") {
      pen.fillStyle = colour.floor; pen.fillRect(0, 0, at.width, at.height);
      if (view.picture) pen.drawImage(view.picture, 0, 0, at.width, at.height);
      return;
    }
    (scene.labels ? labels : numbers)(pen, scene, at, colour);
    pen.translate(at.margin, at.margin);
    floor(pen, scene, at.cell, colour);
    const { poses, points } = view.belief || {};
    if (view.belief && !poses && !points) heat(pen, view.belief.cells, at.cell, colour);
    if (scene.kind === "maze") walls(pen, scene, at.cell, colour);
    else scene.things.forEach((thing) => object(pen, thing, at.cell, colour));
    if (poses) arrows(pen, poses, at.cell, colour);
    if (points) dots(pen, points, at.cell, colour);
    if (view.denoted) outline(pen, view.denoted, at.cell, colour);
    if (view.meant) mark(pen, view.meant, at.cell, colour);
    walk(pen, view, scene.kind, at.cell, colour);
    if (view.cursor) {
      pen.strokeStyle = colour.accent; pen.lineWidth = 3;
      pen.strokeRect(view.cursor[1] * at.cell + 1.5, view.cursor[0] * at.cell + 1.5, at.cell - 3, at.cell - 3);
    }
  }

  function numbers(pen, scene, { cell, margin }, colour) {
    const every = cell < 13 ? 5 : cell < 17 ? 2 : 1;
    pen.fillStyle = colour.muted;
    pen.font = `${Math.max(9, Math.min(12, margin * 0.6))}px sans-serif`;
    pen.textAlign = "center"; pen.textBaseline = "middle";
    for (let n = 0; n < scene.columns; n += every) pen.fillText(n, margin + (n + 0.5) * cell, margin / 2);
    for (let n = 0; n < scene.rows; n += every) pen.fillText(n, margin / 2, margin + (n + 0.5) * cell);
  }

  // Words at either end of both axes, in the place of numbers.
  function labels(pen, scene, { cell, margin }, colour) {
    const { rows, columns } = scene.labels;
    pen.fillStyle = colour.muted;
    pen.font = `${Math.max(9, Math.min(12, margin * 0.6))}px sans-serif`;
    pen.textBaseline = "middle";
    const along = ([low, high], length) => {
      pen.textAlign = "left"; pen.fillText(low, margin, margin / 2);
      pen.textAlign = "right"; pen.fillText(high, margin + length, margin / 2);
    };
    if (columns) along(columns, scene.columns * cell);
    if (!rows) return;
    pen.save();
    pen.translate(0, 2 * margin + scene.rows * cell); pen.rotate(-Math.PI / 2);
    along([rows[1], rows[0]], scene.rows * cell);
    pen.restore();
  }

  function floor(pen, scene, cell, colour) {
    pen.fillStyle = colour.floor;
    pen.fillRect(0, 0, scene.columns * cell, scene.rows * cell);
    pen.strokeStyle = colour.lines; pen.lineWidth = 1;
    pen.beginPath();
    for (let n = 0; n <= scene.columns; n++) { pen.moveTo(n * cell, 0); pen.lineTo(n * cell, scene.rows * cell); }
    for (let n = 0; n <= scene.rows; n++) { pen.moveTo(0, n * cell); pen.lineTo(scene.columns * cell, n * cell); }
    pen.stroke();
  }

  function walls(pen, scene, cell, colour) {
    pen.fillStyle = colour.wall;
    scene.walls.forEach((line, row) => [...line].forEach((mark, column) => {
      if (mark === "#") pen.fillRect(column * cell - 0.5, row * cell - 0.5, cell + 1, cell + 1);
    }));
  }

  function heat(pen, cells, cell, colour) {
    const most = Math.max(...cells.map((each) => each[2]), 1e-9);
    pen.fillStyle = colour.heat;
    for (const [row, column, p] of cells) {
      pen.globalAlpha = 0.06 + 0.84 * Math.sqrt(p / most);
      pen.fillRect(column * cell + 0.5, row * cell + 0.5, cell - 1, cell - 1);
    }
    pen.globalAlpha = 1;
  }

  function arrows(pen, poses, cell, colour) {
    const most = Math.max(...poses.map((each) => each[3]), 1e-9);
    pen.fillStyle = colour.heat;
    for (const [row, column, direction, p] of poses) {
      if (p < 0.02 * most) continue;
      const [down, right] = AHEAD[direction], share = p / most;
      pen.globalAlpha = 0.35 + 0.65 * share;
      triangle(pen, (column + 0.5 + 0.3 * right) * cell, (row + 0.5 + 0.3 * down) * cell, direction, cell * (0.09 + 0.13 * Math.sqrt(share)));
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  function dots(pen, points, cell, colour) {
    const most = Math.max(...points.map((each) => each[2]), 1e-9);
    pen.fillStyle = colour.heat;
    for (const [row, column, p] of points) {
      const share = Math.sqrt(p / most);
      if (share < 0.1) continue;
      pen.globalAlpha = 0.1 + 0.5 * share;
      pen.beginPath(); pen.arc(column * cell, row * cell, Math.max(1.5, cell * (0.03 + 0.05 * share)), 0, 7); pen.fill();
    }
    pen.globalAlpha = 1;
  }

  function triangle(pen, x, y, direction, size) {
    pen.save();
    pen.translate(x, y); pen.rotate((direction * Math.PI) / 2);
    pen.beginPath(); pen.moveTo(size, 0); pen.lineTo(-size * 0.8, size * 0.9); pen.lineTo(-size * 0.8, -size * 0.9); pen.closePath();
    pen.restore();
  }

  function object(pen, [row, column, thing, name, state], cell, colour) {
    const x = column * cell, y = row * cell, middle = cell / 2;
    if (thing === "wall") {
      pen.fillStyle = colour.wall; pen.fillRect(x - 0.5, y - 0.5, cell + 1, cell + 1);
      return;
    }
    pen.save();
    pen.translate(x + middle, y + middle); pen.scale(cell, cell);
    pen.fillStyle = OBJECTS[name]; pen.strokeStyle = colour.ink; pen.lineWidth = 0.03; pen.lineJoin = "round";
    if (thing === "ball") {
      pen.beginPath(); pen.arc(0, 0, 0.29, 0, 7); pen.fill(); pen.stroke();
    } else if (thing === "box") {
      pen.fillRect(-0.29, -0.29, 0.58, 0.58); pen.strokeRect(-0.29, -0.29, 0.58, 0.58);
      pen.fillStyle = colour.floor; pen.fillRect(-0.19, -0.19, 0.38, 0.38); pen.strokeRect(-0.19, -0.19, 0.38, 0.38);
      pen.fillStyle = OBJECTS[name]; pen.fillRect(-0.19, -0.045, 0.38, 0.09);
    } else if (thing === "key") {
      pen.rotate(-Math.PI / 4);
      pen.beginPath();
      pen.rect(-0.1, -0.045, 0.46, 0.09); pen.rect(0.14, 0, 0.07, 0.15); pen.rect(0.28, 0, 0.07, 0.15);
      pen.fill(); pen.stroke(); pen.fill();
      pen.beginPath(); pen.arc(-0.2, 0, 0.15, 0, 7); pen.arc(-0.2, 0, 0.065, 0, 7, true); pen.fill("evenodd"); pen.stroke();
    } else {
      pen.fillRect(-0.5, -0.5, 1, 1); pen.fillStyle = colour.floor; pen.fillRect(-0.36, -0.36, 0.72, 0.72);
      if (state !== "open") {
        pen.fillStyle = OBJECTS[name]; pen.fillRect(-0.28, -0.28, 0.56, 0.56);
        pen.fillStyle = colour.ink; pen.beginPath(); pen.arc(0.17, 0, 0.06, 0, 7);
        if (state === "locked") pen.rect(0.135, 0, 0.07, 0.16);
        pen.fill();
      }
    }
    pen.restore();
  }

  function outline(pen, cells, cell, colour) {
    const has = new Set(cells.map(([row, column]) => `${row},${column}`));
    pen.strokeStyle = colour.denoted; pen.lineWidth = Math.max(2, cell * 0.08); pen.lineCap = "square";
    pen.beginPath();
    for (const [row, column] of cells) {
      const x = column * cell, y = row * cell;
      if (!has.has(`${row - 1},${column}`)) { pen.moveTo(x, y); pen.lineTo(x + cell, y); }
      if (!has.has(`${row + 1},${column}`)) { pen.moveTo(x, y + cell); pen.lineTo(x + cell, y + cell); }
      if (!has.has(`${row},${column - 1}`)) { pen.moveTo(x, y); pen.lineTo(x, y + cell); }
      if (!has.has(`${row},${column + 1}`)) { pen.moveTo(x + cell, y); pen.lineTo(x + cell, y + cell); }
    }
    pen.stroke();
  }

  function mark(pen, [row, column], cell, colour) {
    pen.strokeStyle = colour.ink; pen.lineWidth = 2; pen.setLineDash([4, 3]);
    pen.beginPath(); pen.arc((column + 0.5) * cell, (row + 0.5) * cell, cell * 0.44, 0, 7); pen.stroke();
    pen.setLineDash([]);
  }

  function walk(pen, view, kind, cell, colour) {
    const path = view.path, shift = kind === "grid" ? 0.5 : 0;
    if (!path || !path.length) return;
    const points = path.map(([row, column]) => [(column + shift) * cell, (row + shift) * cell]);
    pen.strokeStyle = colour.path; pen.lineWidth = Math.max(2, cell * 0.1); pen.lineCap = pen.lineJoin = "round";
    pen.beginPath(); points.forEach(([x, y]) => pen.lineTo(x, y)); pen.stroke();
    pen.fillStyle = colour.path;
    pen.beginPath(); pen.arc(...points[0], Math.max(2.5, cell * 0.11), 0, 7); pen.fill();
    const [x, y] = points[points.length - 1], size = Math.max(5, cell * 0.32);
    pen.fillStyle = colour.agent; pen.strokeStyle = colour.paper; pen.lineWidth = 1.5;
    if (kind === "grid") triangle(pen, x, y, path[path.length - 1][2], size);
    else { pen.beginPath(); pen.arc(x, y, size * 0.75, 0, 7); }
    pen.fill(); pen.stroke();
    if (view.over) ended(pen, x, y, size, view.success, colour);
  }

  function ended(pen, x, y, size, success, colour) {
    pen.save();
    pen.translate(x, y);
    pen.strokeStyle = colour.paper; pen.lineJoin = "round";
    pen.beginPath();
    if (success) {
      for (let n = 0; n < 10; n++) {
        const radius = n % 2 ? size * 0.5 : size * 1.15, angle = (n * Math.PI) / 5 - Math.PI / 2;
        pen.lineTo(radius * Math.cos(angle), radius * Math.sin(angle));
      }
      pen.closePath(); pen.fillStyle = colour.good; pen.lineWidth = 2; pen.stroke(); pen.fill();
    } else if (success === false) {
      const arm = size * 0.8;
      pen.moveTo(-arm, -arm); pen.lineTo(arm, arm); pen.moveTo(arm, -arm); pen.lineTo(-arm, arm);
      pen.lineWidth = size * 0.75; pen.stroke();
      pen.strokeStyle = colour.bad; pen.lineWidth = size * 0.4; pen.stroke();
    }
    pen.restore();
  }

  // What a walk has come to, in words.
  function outcome(walk, steps) {
    const taken = `${steps} step${steps === 1 ? "" : "s"}`;
    if (!walk.over) return steps ? taken : "at the start";
    if (walk.success) return `success in ${taken}`;
    return walk.success === false ? `failure after ${taken}` : `ended after ${taken}`;
  }

  return { draw, cellAt, outcome };
})();
