// The page's only script: keys and buttons send answers, clips play in sync. What is shown is made by the server.
"use strict";

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const say = (text) => { document.getElementById("status").textContent = text; };
const article = () => document.querySelector("article");
let busy = false;

async function post(path, content) {
  const token = document.querySelector("meta[name=post-token]");
  const headers = { "Content-Type": "application/json", "X-Post-Token": token ? token.content : "" };
  for (let pause = 250; ; pause = Math.min(2 * pause, 4000)) {
    try {
      const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(content) });
      if (answer.status < 500) return answer;
    } catch { /* the server is away: the same answer is sent again, which changes nothing if it arrived */ }
    say("Not saved yet: the server does not answer. Trying again…");
    await wait(pause);
  }
}

async function send(path, content, word) {
  if (busy) return;
  busy = true;
  try {
    await handle(path, content, word);
  } catch {
    say("The answer may be saved; reload the page to see.");
  } finally {
    busy = false;
  }
}

async function handle(path, content, word) {
  const answer = await post(path, content);
  if (answer.status === 200 || answer.status === 409) {
    document.querySelector("main").innerHTML = await answer.text();
    say(answer.status === 200 ? word : "");
    show();
    document.querySelector(".asked").focus({ preventScroll: true }); // where a screen reader reads on
  } else {
    const error = (await answer.json().catch(() => ({}))).error;
    say(error ? `${error.rule}: ${error.fix}` : `The server answered ${answer.status}.`);
  }
}

const reply = (word) => send("/answer", { question: article().dataset.question, answer: word }, "Saved.");
const undo = () => send("/undo", { question: article().dataset.last }, "Taken back.");

// Clips: one clock for both sides.
let moment = 0, playing = false, timer = 0;
const last = () => Math.max(0, ...[...document.querySelectorAll("#shown > .clips [data-frames]")].map((s) => s.dataset.frames - 1),
  ...[...document.querySelectorAll("#shown > table [data-values]")].map((v) => JSON.parse(v.dataset.values).length - 1));

function draw() {
  const end = last();
  for (const screen of document.querySelectorAll(".screen")) {
    const frames = Number(screen.dataset.frames), columns = Math.ceil(Math.sqrt(frames)), rows = Math.ceil(frames / columns);
    const i = screen.closest(".rung") ? frames - 1 : Math.min(moment, frames - 1), x = i % columns, y = Math.floor(i / columns);
    screen.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
    screen.style.backgroundPosition = `${columns > 1 ? (100 * x) / (columns - 1) : 0}% ${rows > 1 ? (100 * y) / (rows - 1) : 0}%`;
  }
  for (const cell of document.querySelectorAll("#shown > table [data-values]")) {
    const values = JSON.parse(cell.dataset.values);
    cell.textContent = values[Math.min(moment, values.length - 1)];
  }
  for (const cursor of document.querySelectorAll("#shown > table .cursor")) {
    const x = 3 + (end ? moment / end : 0) * 114;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
  }
  const slider = document.getElementById("moment");
  if (slider) {
    slider.value = moment;
    document.querySelector("output").textContent = `${moment} of ${end}`;
    document.getElementById("play").textContent = playing ? "stop" : "play";
  }
}

function play(on) {
  playing = on && last() > 0;
  clearTimeout(timer);
  const step = () => {
    moment = moment >= last() ? 0 : moment + 1;
    draw();
    timer = setTimeout(step, moment === last() ? 1000 : last() > 1 ? 140 : 700);
  };
  if (playing) timer = setTimeout(step, 400);
  draw();
}

const go = (by) => { play(false); moment = Math.min(last(), Math.max(0, moment + by)); draw(); };

async function load(screen) {
  while (screen.isConnected) {
    const answer = await fetch(screen.dataset.src).catch(() => ({ status: 503 }));
    if (answer.status === 200) {
      const image = new Image();
      image.src = screen.dataset.src;
      await image.decode();
      const columns = Math.ceil(Math.sqrt(screen.dataset.frames)), rows = Math.ceil(screen.dataset.frames / columns);
      screen.style.aspectRatio = `${image.naturalWidth / columns} / ${image.naturalHeight / rows}`;
      screen.style.backgroundImage = `url("${screen.dataset.src}")`;
      screen.classList.add("drawn");
      return;
    }
    if (answer.status !== 503) { (screen.closest("figure") || screen).remove(); return; }
    await wait(1000);
  }
}

function show() {
  moment = 0;
  document.querySelectorAll(".screen").forEach(load);
  const anchors = document.querySelector(".anchors");
  if (anchors && matchMedia("(max-width: 700px)").matches) anchors.open = false;
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  document.dispatchEvent(new Event("shown"));
}

// Keys. An open dialog, a field to type in and the slider keep theirs; a held key counts once.
const KEYS = { l: "left", ArrowLeft: "left", r: "right", ArrowRight: "right", t: "tie", c: "unsure", s: "skip" };

const keyOf = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);

function isOurs(event) {
  const help = document.getElementById("help");
  if (!help || help.open || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return false;
  return !(event.target.type === "range" && event.key.startsWith("Arrow"));
}

function press(event) {
  const key = keyOf(event), target = event.target, help = document.getElementById("help");
  if (key === "?" && help && help.open) { help.close(); return; }
  if (!isOurs(event)) return;
  if (key === "?") { help.showModal(); return; }
  if (key === " " && target.matches("button, summary")) return;
  const word = key in KEYS ? KEYS[key] : /^[0-9]$/.test(key) ? (key === "0" ? "10" : key) : "";
  const button = word && document.querySelector(`[data-answer="${word}"]`);
  if (button) { event.preventDefault(); reply(word); }
  else if (key === "u" && article().dataset.last) undo();
  else if (key === " ") { event.preventDefault(); play(!playing); }
  else if (key === ",") go(-1);
  else if (key === ".") go(1);
}

document.addEventListener("keydown", press);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.answer) reply(button.dataset.answer);
  else if (button.id === "undo") undo();
  else if (button.id === "play") play(!playing);
  else if (button.id === "logout") leave();
  else if (button.id === "open-help") document.getElementById("help").showModal();
});
document.addEventListener("input", (event) => {
  if (event.target.id !== "moment") return;
  moment = Number(event.target.value);
  play(false);
});

async function enter(token) {
  const answer = await post("/login", { token });
  if (answer.ok) location.replace("/");
  else say("That token is nobody's: see the link that rmgym ui printed for you.");
}

async function leave() {
  const answer = await post("/logout", {});
  if (answer.ok || answer.status === 401) location.replace("/");
  else say(`The server answered ${answer.status}.`);
}

const form = document.getElementById("login");
if (form) form.addEventListener("submit", (event) => { event.preventDefault(); enter(form.token.value.trim()); });
// A token behind "#" reaches no server's log; it is gone from the address before anything else happens.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  history.replaceState(null, "", location.pathname);
  enter(token);
}
if (article()) show();
