"use strict";
const state = { id: null, info: null, view: null, stream: null, cursor: null, tool: "place", painted: null };
let asked = null, telling = null; // the newest text that is still to be sent; what sends it

// -- talking to the server ---------------------------------------------------------------------

async function post(path, body) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer. Is langrl play still running?");
  }
  const content = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (answer.ok && !content.error) return content;
  const error = new Error(content.error);
  error.gone = answer.status === 410;
  throw error;
}

async function begin(text) {
  const opened = await post("/api/session", {});
  Object.assign(state, { id: opened.session, info: opened.info });
  show(opened.view);
  if (text) await act({ do: "tell", text });
}

async function act(command) {
  if (command.do !== "look") stop();
  try {
    show(await post("/api/do", { session: state.id, ...command }));
    complain("");
    return true;
  } catch (error) {
    if (error.gone) {
      await begin($("text").value);
      complain("The session was idle for long and has ended; a new one has begun.");
    } else complain(error.message);
    return false;
  }
}

// One request at a time: of what is typed meanwhile, only the newest text is sent.
function tell(text) {
  asked = text;
  telling ||= sendTexts().finally(() => { telling = null; });
  return telling;
}

async function sendTexts() {
  while (asked !== null) {
    const next = asked;
    asked = null;
    await act({ do: "tell", text: next });
  }
}

function complain(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

// -- running -----------------------------------------------------------------------------------

async function run() {
  if (state.stream) return pause();
  await telling;
  if (!state.view.can_run) return $("text").focus();
  if (state.view.over && !(await act({ do: "again" }))) return;
  complain("");
  const address = `/api/run?session=${encodeURIComponent(state.id)}&rate=${$("rate").value}`;
  const stream = (state.stream = new EventSource(address));
  stream.onmessage = (event) => progress(JSON.parse(event.data));
  stream.addEventListener("end", stop);
  stream.addEventListener("problem", (event) => { stop(); complain(JSON.parse(event.data).error); });
  stream.onerror = () => { if (state.stream === stream) { stop(); act({ do: "look" }); } };
  buttons();
}

function stop() {
  if (!state.stream) return;
  state.stream.close();
  state.stream = null;
  buttons();
}

function pause() {
  stop();
  act({ do: "look" });
}

function progress(news) {
  const view = state.view;
  if (news.revision !== view.revision) return;
  news.walks.forEach(({ place, things, over, success }, n) => {
    const walk = view.walks[n];
    if (!walk.over && news.step > view.step) {
      walk.path.push(place);
      walk.things.push(things);
    }
    Object.assign(walk, { over, success });
  });
  Object.assign(view, { step: news.step, over: news.over, question: news.question });
  if (news.over || news.question) stop();
  asking();
  if (news.question) $("question").scrollIntoView({ block: "nearest" });
  paint();
  buttons();
  if (news.over) $("news").textContent = view.walks.map((walk) => `${walk.strategy}: ${LangrlDraw.outcome(walk, walk.path.length - 1)}`).join("; ");
}


// -- showing -----------------------------------------------------------------------------------

function show(view) {
  const fresh = !state.view || state.view.scene.name !== view.scene.name;
  state.view = view;
  if (fresh) furnish();
  panels();
  showBelief(view);
  asking();
  $("says").textContent = [...view.says, view.scene.no_picture].filter(Boolean).join(" ");
  buttons();
  paint();
  document.body.dataset.revision = view.revision;
  document.body.dataset.text = view.text;
}

function buttons() {
  const { view, stream } = state;
  $("go").textContent = stream ? "Pause" : view.over ? "Run again" : view.step ? "Go on" : "Run";
  $("go").disabled = !view.can_run;
  $("step").disabled = !view.can_run || view.over || !!stream;
  $("again").disabled = !view.step;
  document.body.dataset.running = Boolean(stream);
}

// Things that depend on the run alone.
function furnish() {
  const { info, view } = state, { scene } = view, grid = scene.kind === "grid";
  $("run").textContent = `${info.title}, in ${grid ? "the grid world " : ""}${scene.name}`;
  $("rate").value = scene.rate;
  $("rate").oninput();
  document.title = `langrl play: ${view.scene.name}`;
  $("restart").textContent = grid ? "New room" : "New start";
  $("examples").replaceChildren(...info.examples.map((text) => element("button", {
    type: "button", textContent: text, onclick: () => { $("text").value = text; tell(text); },
  })));
  const strategies = info.strategies.map(({ name, about }) => element("label", { className: "check" },
    element("input", { type: "checkbox", name: "strategy", value: name, onchange: compare, checked: view.walks.some((walk) => walk.strategy === name) }),
    element("span", {}, name, element("small", { textContent: about }))));
  $("strategies").append(...strategies);
  const tools = [
    ["place", grid ? "places the agent; a second one turns it" : "places the agent", scene.can_place],
    ["edit", grid ? "puts a thing there" : "makes a wall, or takes one away", scene.can_edit],
    ["mean", "says which one I mean", scene.can_mean],
  ].filter(([, , can]) => can);
  $("tools").hidden = !tools.length;
  $("asking").hidden = !scene.can_mean;
  $("tools").append(...tools.map(([name, text]) => element("label", { className: "check", id: name === "mean" ? "mean" : "" },
    element("input", { type: "radio", name: "tool", value: name, checked: name === state.tool, onchange: () => pick(name) }),
    element("span", { textContent: text }))));
  if (!scene.can_edit) return;
  if (grid) $("tools").append(element("div", { className: "choices" }, select("thing", info.things), select("colour", info.colours)));
  else $("tools").append(element("button", { type: "button", textContent: "Take back all edits", onclick: () => act({ do: "reset_world" }) }));
}

function select(name, values) {
  const made = element("select", { id: name, onchange: () => pick("edit") }, ...values.map((value) => element("option", { value, textContent: value })));
  made.setAttribute("aria-label", name);
  return made;
}

function pick(tool) {
  state.tool = tool;
  document.querySelectorAll("input[name=tool]").forEach((input) => { input.checked = input.value === tool; });
  document.querySelectorAll("canvas").forEach((canvas) => { canvas.style.touchAction = tool === "edit" ? "none" : ""; });
}

function compare(event) {
  const chosen = [...document.querySelectorAll("input[name=strategy]:checked")].map((input) => input.value);
  if (!chosen.length || chosen.length > state.info.most_compared) {
    event.target.checked = !event.target.checked;
    return complain(`Choose 1 to ${state.info.most_compared} strategies.`);
  }
  return act({ do: "compare", strategies: chosen });
}

function panels() {
  const walks = state.view.walks, figures = [...$("panels").children];
  if (figures.map((figure) => figure.dataset.strategy).join() === walks.map((walk) => walk.strategy).join()) return;
  $("panels").replaceChildren(...walks.map(({ strategy }) => {
    const canvas = element("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "map of the world");
    listen(canvas);
    const figure = element("figure", {}, canvas, element("figcaption"));
    figure.dataset.strategy = strategy;
    return figure;
  }));
  pick(state.tool);
}

function paint() {
  const { view } = state;
  [...$("panels").children].forEach((figure, n) => {
    const cursor = document.activeElement === figure.firstChild ? state.cursor : null;
    const edited = state.painted ? { scene: painted() } : {};
    showWalk(figure, view, view.walks[n], { ...edited, cursor, picture: picture(figure, n) });
  });
}

// The newest picture of a world without a map; one is asked for at a time.
function picture(figure, n) {
  const { scene, revision, step } = state.view, wanted = `${revision}.${step}`;
  if (scene.kind !== "frames" || scene.no_picture) return null;
  if (!figure.waiting && figure.has !== wanted) {
    const image = new Image();
    figure.waiting = true;
    image.onload = image.onerror = () => {
      Object.assign(figure, { waiting: false, has: wanted });
      if (image.naturalWidth) figure.picture = image;
      paint();
    };
    image.src = `/api/frame?session=${encodeURIComponent(state.id)}&walk=${n}&at=${wanted}`;
  }
  return figure.picture;
}

function asking() {
  const { view } = state;
  showKey(view, Boolean(view.meant));
  $("hidden").checked = view.hidden;
  if ($("mean")) $("mean").hidden = !view.meant;
  if (!view.meant && state.tool === "mean") pick("place");
  $("meant").textContent = view.meant ? `You mean ${view.scene.kind === "grid" ? "the " : ""}${view.meant_name} (dashed circle).` : "";
  const question = view.question;
  $("question").replaceChildren(...(question ? [
    element("p", { textContent: question.text }),
    element("div", { className: "answers" }, ...question.answers.map((text, answer) => element("button", {
      type: "button", textContent: text, className: answer === question.true ? "first" : "",
      title: answer === question.true ? "true of what you mean" : "", onclick: () => reply(answer),
    }))),
  ] : []));
}

async function reply(answer) {
  if (await act({ do: "answer", answer })) run();
}

// -- clicks and keys ---------------------------------------------------------------------------

// The scene with what is being painted and not yet sent.
function painted() {
  const { scene } = state.view;
  if (!state.painted || scene.kind !== "maze") return scene;
  const walls = scene.walls.map((line) => [...line]);
  state.painted.edits.forEach(({ row, column, thing }) => { walls[row][column] = thing === "wall" ? "#" : "."; });
  return { ...scene, walls: walls.map((line) => line.join("")) };
}

function listen(canvas) {
  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return LangrlDraw.cellAt(canvas, state.view.scene, event.clientX - box.left, event.clientY - box.top);
  };
  canvas.onpointerdown = (event) => {
    const at = spot(event);
    if (!at || event.button) return;
    if (state.tool !== "edit") return void place(at.row, at.column);
    canvas.setPointerCapture(event.pointerId);
    state.painted = { thing: thingFor(at), edits: [] };
    brush(at);
  };
  canvas.onpointermove = (event) => { const at = state.painted && spot(event); if (at) brush(at); };
  canvas.onpointerup = canvas.onpointercancel = finish;
  canvas.onfocus = () => {
    if (state.view.scene.kind === "frames") return;
    state.cursor ||= state.view.walks[0].path[0].slice(0, 2).map(Math.floor); paint(); describe();
  };
  canvas.onblur = () => { $("cursor").textContent = ""; paint(); };
  canvas.onkeydown = (event) => key(event);
}

function thingFor({ row, column }) {
  if (state.view.scene.kind === "grid") return $("thing").value;
  return state.view.scene.walls[Math.floor(row)][Math.floor(column)] === "#" ? "free" : "wall";
}

function brush({ row, column }) {
  const { thing, edits } = state.painted, cell = { row: Math.floor(row), column: Math.floor(column) };
  if (edits.some((edit) => edit.row === cell.row && edit.column === cell.column)) return;
  edits.push({ ...cell, thing, ...(state.view.scene.kind === "grid" ? { colour: $("colour").value } : {}) });
  state.cursor = [cell.row, cell.column];
  paint();
}

async function finish() {
  if (!state.painted) return;
  await act({ do: "edit", edits: state.painted.edits });
  state.painted = null;
  paint();
  describe(); // what is there now: an edit may have been refused
}

function place(row, column) {
  if (state.tool === "place" && !state.view.scene.can_place) return;
  if (state.tool === "mean") return act({ do: "mean", place: [row, column] });
  if (state.view.scene.kind === "maze") return act({ do: "place", place: [row, column] });
  const cell = [Math.floor(row), Math.floor(column)], [r, c, direction] = state.view.walks[0].path[0];
  const same = r === cell[0] && c === cell[1];
  return act({ do: "place", place: [...cell, same ? (direction + 1) % 4 : direction] });
}

function describe() {
  const [row, column] = state.cursor, { scene, belief: found } = state.view;
  let what = "free";
  if (scene.kind === "maze") { if (scene.walls[row][column] === "#") what = "wall"; }
  else {
    const thing = sceneOf(state.view, state.view.walks[0]).things.find(([r, c]) => r === row && c === column);
    if (thing) what = thing[2] === "wall" ? "wall" : [thing[4], thing[3], thing[2]].filter(Boolean).join(" ");
  }
  const likely = found && found.cells.find(([r, c]) => r === row && c === column);
  $("cursor").textContent = `Row ${row}, column ${column}: ${what}${likely ? `, belief ${(100 * likely[2]).toFixed(1)} %` : ""}.`;
}

function key(event) {
  const letters = { r: run, s: () => $("step").click(), b: () => $("again").click(), n: () => $("restart").click() };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const { rows, columns } = state.view.scene, [row, column] = state.cursor || [];
  if (state.cursor && moves[event.key]) {
    const [down, right] = moves[event.key];
    state.cursor = [Math.max(0, Math.min(rows - 1, row + down)), Math.max(0, Math.min(columns - 1, column + right))];
    paint(); describe();
  } else if (state.cursor && (event.key === "Enter" || event.key === " ")) {
    if (state.tool !== "edit") place(row + (state.view.scene.kind === "maze" ? 0.5 : 0), column + (state.view.scene.kind === "maze" ? 0.5 : 0));
    else { state.painted = { thing: thingFor({ row, column }), edits: [] }; brush({ row, column }); finish(); }
  } else if (letters[event.key.toLowerCase()]) letters[event.key.toLowerCase()]();
  else return;
  event.preventDefault();
}

// -- beginning ---------------------------------------------------------------------------------

$("say").onsubmit = (event) => { event.preventDefault(); run(); };
$("text").oninput = () => tell($("text").value);
$("step").onclick = () => act({ do: "step" });
$("again").onclick = () => act({ do: "again" });
$("restart").onclick = () => act({ do: "restart" });
$("hidden").onchange = () => act({ do: "hide", hidden: $("hidden").checked });
$("rate").oninput = () => { $("rate-value").textContent = `${$("rate").value} steps/s`; };
$("rate").onchange = () => { if (state.stream) { stop(); run(); } };
$("rate").oninput();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => state.view && paint());
new ResizeObserver(() => state.view && paint()).observe($("panels"));
begin("").catch((error) => complain(error.message));
