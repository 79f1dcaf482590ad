// The ladder: the step at hand is moved by keys, buttons or dragging, and placed. What stands beside it is made by the server.
"use strict";

let place = 0, stride = 1, moves = 0, drag = null;
const list = () => document.querySelector(".rungs");
const rungs = () => [...document.querySelectorAll(".rung")].reverse(); // the worst first
const codeAt = (i) => (rungs()[i] ? rungs()[i].dataset.code : "");
const send_place = (low, high) => reply(`${low}:${high}`);

function put(at) {
  const all = rungs(), here = document.querySelector(".here"), handle = here.firstElementChild, hold = document.activeElement === handle;
  place = Math.min(all.length, Math.max(0, at));
  if (place) all[place - 1].before(here); else list().append(here);
  const words = [place && `better than ${all[place - 1].textContent}`, place < all.length && `worse than ${all[place].textContent}`];
  handle.setAttribute("aria-valuenow", place);
  handle.setAttribute("aria-valuetext", words.filter(Boolean).join(", "));
  if (hold) handle.focus({ preventScroll: true });
  if (!drag) list().scrollTop = here.offsetTop - list().clientHeight / 2;
}

async function beside() {
  const move = ++moves, shown = document.getElementById("shown");
  await wait(60); // who runs past need not be shown all
  if (move !== moves) return;
  const path = `/beside/${article().dataset.question}?low=${codeAt(place - 1)}&high=${codeAt(place)}`;
  const answer = await fetch(path).catch(() => null), content = answer && answer.ok && await answer.text();
  if (move !== moves || !shown.isConnected) return;
  if (!content) { say("The steps beside it cannot be shown now: the server does not answer."); return; }
  say("");
  shown.innerHTML = content;
  shown.querySelectorAll(".screen").forEach(load);
  draw();
}

function climb(by) { // halves at each press, as one looks a word up
  if (place + by < 0 || place + by > rungs().length) return;
  put(place + by * stride);
  stride = Math.max(1, Math.floor(stride / 2));
  beside();
}

function settle(where) {
  const low = codeAt(place - 1), high = codeAt(place);
  if (where === "here") send_place(low, high);
  else if (where === "above" && high) send_place(high, high);
  else if (where === "below" && low) send_place(low, low);
  else if (where === "up") climb(1);
  else if (where === "down") climb(-1);
  else if (where === "top" || where === "foot") { put(where === "top" ? rungs().length : 0); beside(); }
}

function start() {
  if (!list()) return;
  moves += 1;
  drag = null;
  stride = Math.max(1, Math.floor((rungs().length + 2) / 4));
  put(Number(list().dataset.place));
}

// While it is dragged, the step's mark follows the pointer and the gap below it is marked; it is placed where it is let go.
function follow() {
  const box = list().getBoundingClientRect(), all = rungs();
  if (drag.y < box.top + 30) list().scrollTop -= 8;
  if (drag.y > box.bottom - 30) list().scrollTop += 8;
  const middle = (rung) => { const { top, height } = rung.getBoundingClientRect(); return top + height / 2; };
  const gap = all.filter((rung) => middle(rung) > drag.y).length;
  document.querySelector(".here").style.transform = `translateY(${drag.y - drag.from + list().scrollTop - drag.scrolled}px)`;
  all.forEach((rung, i) => { rung.classList.toggle("under", i === gap - 1); rung.classList.toggle("over", !gap && !i); });
  drag.moved ||= Math.abs(drag.y - drag.from) > 4;
  if (gap !== drag.gap) { drag.gap = gap; place = gap; beside(); }
}

function drop(event) {
  if (!drag || event.pointerId !== drag.id) return;
  const { moved, gap, before } = drag;
  clearInterval(drag.timer);
  drag = null;
  document.querySelector(".here").style.transform = "";
  rungs().forEach((rung) => rung.classList.remove("under", "over"));
  const placed = event.type === "pointerup" && moved;
  put(placed ? gap : before);
  if (placed) settle("here"); else beside();
}

document.addEventListener("pointerdown", (event) => {
  if (drag || event.button || !event.target.closest(".here")) return;
  drag = { id: event.pointerId, y: event.clientY, from: event.clientY, scrolled: list().scrollTop, gap: place, before: place, moved: false };
  drag.timer = setInterval(follow, 30);
  list().setPointerCapture(event.pointerId);
});
document.addEventListener("pointermove", (event) => { if (drag && event.pointerId === drag.id) { drag.y = event.clientY; follow(); } });
document.addEventListener("pointerup", drop);
document.addEventListener("pointercancel", drop);

const MOVES = { ArrowUp: "up", ArrowDown: "down", Home: "top", End: "foot", Enter: "here", a: "above", b: "below" };
document.addEventListener("keydown", (event) => {
  const where = MOVES[keyOf(event)];
  if (!where || !list() || drag || !isOurs(event) || (where === "here" && event.target.matches("button, summary"))) return;
  event.preventDefault();
  settle(where);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]"), rung = event.target.closest(".rung");
  if (button) settle(button.dataset.move);
  else if (rung) { // above or below it, whichever half was hit
    const { top, height } = rung.getBoundingClientRect();
    put(rungs().indexOf(rung) + (event.clientY < top + height / 2 ? 1 : 0));
    beside();
  }
});
document.addEventListener("shown", start);
start();
