"use strict";
/* The board without a build: live parts, countdowns, keys, theme. Every page reads without it. */

const body = document.body;
const say = body.dataset;
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
document.documentElement.classList.add("has-script");

/* ---------------------------------------------------------------- time
   Countdowns run by the stream's clock: the page's age is added only where that is ours. */
const loadedAt = performance.now();
let streamNow = Number(say.now);
let seenAt = loadedAt;
const now = () => streamNow + ("ticks" in say ? performance.now() - seenAt : 0);

const zh = document.documentElement.lang.startsWith("zh");
function span(ms) {
  const rest = Math.abs(ms), s = Math.floor(rest / 1000), m = Math.floor(s / 60);
  const h = Math.floor(m / 60), two = (n) => String(n).padStart(2, "0");
  if (h < 48) return `${two(h)}:${two(m % 60)}:${two(s % 60)}`;
  const d = Math.floor(h / 24);
  return zh ? `${d} 天 ${h % 24} 小时` : `${d} d ${h % 24} h`;
}
function tick() {
  if (!("ticks" in say)) return;
  for (const element of $$("[data-due]")) {
    const left = Number(element.dataset.due) - now();
    if (left > -1000) element.textContent = span(Math.max(left, 0));
  }
}
setInterval(tick, 1000);

/* ---------------------------------------------------------------- live parts
   A change in the stream fetches what this page shows otherwise. The board names the marks of the
   parts and cards that it has and gets the others; the other pages come whole. A lane under the
   pointer stands still until it is left. */
const pill = $("#pill"), pillText = $("#pill-text"), pauseButton = $("#pause");
const live = { paused: false, waiting: 0, busy: false, again: false, lost: false, whole: false };
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
let held = null;

function show(state, text) {
  if (!pill) return;
  pill.classList.toggle("paused", state === "paused");
  pill.classList.toggle("lost", state === "lost");
  pill.setAttribute("aria-live", state === "live" ? "off" : "polite");  // not each tenth of a second
  if (text && pillText.textContent !== text) pillText.textContent = text;
}

function address() {
  const parts = $("[data-parts]")?.dataset.parts;
  if (!parts || live.whole) return location.href;
  const query = new URLSearchParams(location.search);
  query.set("had", $$("[data-mark]").map((part) => part.dataset.mark).join("."));
  return `${parts}?${query}`;
}

async function refresh() {
  if (live.paused) { live.waiting += 1; return show("paused", `${say.paused} · ${live.waiting}`); }
  if (live.busy) { live.again = true; return; }
  live.busy = true;
  fetchedAt = performance.now();
  try {
    const answer = await fetch(address(), { headers: { accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    const text = await answer.text();
    tookMs = performance.now() - fetchedAt;
    live.whole = false;
    adopt(text);
  } catch {
    if (!live.whole) later();  // once more, and then all of it
    live.lost = live.whole = true;
    show("lost", say.lost);
  } finally {
    live.busy = false;
    if (live.again) { live.again = false; later(); }
  }
}

function adopt(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  streamNow = Number(page.body.dataset.now);
  seenAt = performance.now();
  document.title = page.title;
  $$("[data-live]").forEach((part) => replace(part, page.getElementById(part.id)));
  $$(".cards").forEach((list) => patch(list, page.getElementById(list.id)));
  tick();
  live.lost = false;
  show("live", $("#pill-text", page)?.textContent);
  if (hits?.isConnected && !$("a", hits)) suggest();  // what was missing may have come
}

function replace(part, fresh) {
  if (!fresh || part.contains(document.activeElement) || $("details[open]", part)) return;
  if (!fresh.dataset.mark || part.dataset.mark !== fresh.dataset.mark) become(part, fresh);
}

/* An element becomes another one. What has the focus stays; the rest is replaced, which, unlike a
   text that changes in place, is no shift of the layout. */
function become(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of old.getAttributeNames()) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  const hasFocus = (node) => node.contains(document.activeElement);
  const [ours, theirs] = [[...old.childNodes], [...fresh.childNodes]];
  if (!hasFocus(old) || ours.length !== theirs.length) return old.replaceChildren(...theirs);
  ours.forEach((child, n) => {
    if (hasFocus(child) && child.nodeName === theirs[n].nodeName) become(child, theirs[n]);
    else child.replaceWith(theirs[n]);
  });
}

function renew(card, fresh) {
  const had = card.contains(document.activeElement);
  become(card, fresh);
  if (had && !card.contains(document.activeElement)) $("a", card)?.focus({ preventScroll: true });
}

function patch(list, fresh) {
  if (!fresh || $("details[open]", list)) return;
  const lane = list.closest(".lane"), notice = lane && $(".fresh", lane);
  const old = new Map($$("[data-key]", list).map((card) => [card.dataset.key, card]));
  if (lane && held === lane) {
    const more = $$("[data-key]", fresh).filter((card) => !old.has(card.dataset.key)).length;
    notice.hidden = !more;
    notice.textContent = say.fresh.replace("{n}", more);
    return;
  }
  if (notice) notice.hidden = true;
  const marked = new Map($$("[data-mark]", list).map((card) => [card.dataset.mark, card]));
  const changed = [], renewed = [];
  const cards = [...fresh.children].map((card) => {
    if (card.dataset.had) return marked.get(card.dataset.had) ?? card;
    const before = old.get(card.dataset.key);
    if (before && (!card.dataset.mark || before.dataset.mark !== card.dataset.mark)) {
      renewed.push([before, card]);
    }
    if (card.dataset.key && before?.dataset.version !== card.dataset.version) changed.push(before ?? card);
    return before ?? card;
  });
  if (cards.some((card) => card.dataset.had)) throw new Error("a card that this page doesn't have");
  renewed.forEach(([before, card]) => renew(before, card));
  place(list, cards);
  changed.forEach((card) => {
    card.classList.add("changed");
    setTimeout(() => card.classList.remove("changed"), 1000);
  });
}

/* Cards come to their places; those in sight glide. */
function place(list, cards) {
  const shown = [...list.children], active = list.contains(document.activeElement) && document.activeElement;
  if (shown.length === cards.length && cards.every((card, n) => card === shown[n])) return;
  const places = new Map();
  if (!still) shown.forEach((card) => places.set(card, card.getBoundingClientRect().top));
  const at = shown.indexOf(active && active.closest(".cards > *"));
  // Attached anew, what glides is no shift of the layout. Further down the page the browser keeps
  // what is read in its place, for which the cards have to stay attached.
  if (!still && list.getBoundingClientRect().top > 0) list.replaceChildren(...cards);
  else move(list, cards);
  if (active && active !== document.activeElement) {  // what has left hands the focus to the next one
    const heir = active.isConnected ? active.closest(".cards > *") : cards[Math.min(at, cards.length - 1)];
    $("a", heir)?.focus({ preventScroll: true });
    if (active.isConnected) active.focus({ preventScroll: true });  // buttons show in a card in focus alone
  }
  if (still) return;
  const tops = cards.map((card) => card.getBoundingClientRect().top);  // all before the first glides
  cards.forEach((card, n) => glide(card, places.get(card), tops[n]));
}

function move(list, cards) {
  let next = list.firstElementChild;
  for (const card of cards) {
    if (next !== card && next?.nextElementSibling === card) {  // it left, or comes further down
      const gone = next;
      next = card;
      gone.remove();
    }
    if (next === card) next = next.nextElementSibling;
    else list.insertBefore(card, next);
  }
  while (next) {
    const gone = next;
    next = next.nextElementSibling;
    gone.remove();
  }
}

function glide(card, before, top) {
  const isSeen = (y) => y > -100 && y < innerHeight;
  if (before === undefined) {
    if (isSeen(top)) card.animate([{ opacity: 0 }, { opacity: 1 }], 200);
  } else if (top !== before && isSeen(top) && isSeen(before)) {
    card.animate([{ transform: `translateY(${before - top}px)` }, { transform: "none" }],
      { duration: 200, easing: "ease-out" });
  }
}

/* At most four fetches a second, however many changes come. Where an answer takes long the page waits
   five times as long: so many open boards slow down together, and leave the server room. */
const FETCH_MS = 250, AS_LONG = 5;
let due = 0, fetchedAt = 0, tookMs = 0;
function later() {
  if (due) return;
  const wait = fetchedAt + Math.max(FETCH_MS, AS_LONG * tookMs) - performance.now();
  due = setTimeout(() => { due = 0; refresh(); }, Math.max(wait, 50));
}

/* The stream tells that something changed. Without one, or where the browser has too many already,
   the page is fetched every five seconds; a hidden page holds no stream. */
const POLL_MS = 5000, SLOW_POLL_MS = 30000;
const shownOrder = $("[data-order]")?.dataset.order;
let source = null, polling = 0;

function poll(everyMs) {
  clearInterval(polling);
  polling = setInterval(() => document.hidden || refresh(), everyMs);
}
function heard(event) {
  if (shownOrder && event.data && JSON.parse(event.data).card?.order_id !== shownOrder) return;
  later();
}
function follow() {
  if (!$("[data-live]")) return;
  if (!say.stream) return poll(POLL_MS);
  source = new EventSource(say.stream);
  ["order.changed", "order.retired"].forEach((kind) => source.addEventListener(kind, heard));
  source.addEventListener("reset", () => { live.whole = true; later(); });
  source.onopen = () => live.lost && later();
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) return poll(POLL_MS);
    live.lost = true;
    show("lost", say.lost);
  };
  poll(SLOW_POLL_MS);
}
document.addEventListener("visibilitychange", () => {
  source?.close();
  if (!document.hidden) { follow(); later(); }
});

$$(".lane").forEach((lane) => {
  lane.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") held = lane; });
  lane.addEventListener("pointerleave", () => {
    held = null;
    if (!$(".fresh", lane).hidden) later();
  });
});

pauseButton?.addEventListener("click", () => {
  live.paused = !live.paused;
  pauseButton.setAttribute("aria-pressed", live.paused);
  $("span", pauseButton).textContent = live.paused ? say.resume : say.pause;
  $("use", pauseButton).setAttribute("href",
    $("use", pauseButton).getAttribute("href").replace(/#.*/, live.paused ? "#play" : "#pause"));
  if (live.paused) show("paused", say.paused);
  else { live.waiting = 0; refresh(); }
});

/* ---------------------------------------------------------------- alerts
   A form on an alert is sent without leaving the page; its answer is this page, as it is then. */
function tell(text) {
  $(".toast")?.remove();
  const toast = document.createElement("p");
  toast.className = "toast";
  toast.setAttribute("role", "status");
  body.append(toast);
  toast.textContent = text;
  setTimeout(() => toast.remove(), 4000);
}
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form.act");
  if (!form) return;
  event.preventDefault();
  const from = event.submitter ?? form;  // a card's buttons stand outside of their form
  try {
    const answer = await fetch(event.submitter?.getAttribute("formaction") ?? form.action,
      { method: "POST", body: new URLSearchParams(new FormData(form, event.submitter)) });
    const text = await answer.text();
    if (!answer.ok) {
      const reason = new DOMParser().parseFromString(text, "text/html").title.split(" · ")[0];
      return tell(say.failed.replace("{reason}", reason));
    }
    const answers = new DOMParser().parseFromString(text, "text/html").getElementById("answers");
    if (answers) return showAnswers(answers, form);
    if (new URL(answer.url).pathname !== location.pathname) return location.assign(answer.url);
    form.closest("details")?.removeAttribute("open");
    if (!from.closest(".cards")) document.activeElement.blur();
    const lane = held;
    held = null;
    adopt(text);
    held = lane;
    if (!from.isConnected) $("#whys")?.focus({ preventScroll: true });
    tell(say.done);
  } catch {
    tell(say.failed.replace("{reason}", say.lost));
  }
});
/* What a storm's acknowledgement did to each alert, over the page; closing it leads back there. */
function showAnswers(answers, form) {
  const dialog = document.createElement("dialog"), key = form.closest(".card").dataset.key;
  dialog.setAttribute("aria-labelledby", "answers-title");
  dialog.append(answers);
  body.append(dialog);
  $("#answers-back", dialog).addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    $(`[data-key="${CSS.escape(key)}"] a`)?.focus({ preventScroll: true });
  });
  dialog.showModal();
  $("#answers-back", dialog).focus();
  held = null;
  later();
}
function act(name) {
  const alert = document.activeElement.closest(".card, .why") ?? $(".why");
  if (alert) $(`form.${name} button, button.${name}`, alert)?.click();
}

/* ---------------------------------------------------------------- search */
const find = $("#find");
let hits = null, asked = 0;
async function suggest() {
  const number = find.value.trim(), mine = ++asked;
  if (number.length < 4) return hits?.remove();
  const answer = await fetch(`/find?hits=1&q=${encodeURIComponent(number)}`);
  if (!answer.ok || mine !== asked) return;
  hits?.remove();
  hits = document.createElement("div");
  hits.className = "hits";
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  hits.append(...page.body.childNodes);
  find.form.append(hits);
}
let typing = 0;
find?.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(suggest, 150); });
find?.form.addEventListener("keydown", (event) => {
  const links = hits ? $$("a", hits) : [], at = links.indexOf(document.activeElement);
  if (event.key === "Escape") { hits?.remove(); find.focus(); }
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const next = links[at + (event.key === "ArrowDown" ? 1 : -1)] ?? find;
    next.focus();
    event.preventDefault();
  }
});
document.addEventListener("click", (event) => {
  if (hits && !find.form.contains(event.target)) hits.remove();
  const open = $("details.me[open], details.api[open], details.more-acts[open]");
  if (open && !open.contains(event.target)) open.open = false;
});

/* ---------------------------------------------------------------- keys */
let first = "";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select")) return;
  const pages = { b: "/", o: "/orders", a: "/alerts" };
  const isGoing = first === "g";
  first = event.key;
  if (isGoing && pages[event.key]) {
    const link = $(`.rail a[href="${pages[event.key]}"]`);
    if (link) location.href = link.href;
    return;
  }
  if (event.key === "a") act("ack");
  if (event.key === "s") act("snooze");
  if (event.key === "/" && find) { find.focus(); event.preventDefault(); }
  if (event.key === "j" || event.key === "k") {
    const links = $$(".card .line a, .card.storm a, .moves a, .rows a").filter((a) => a.offsetParent);
    const at = links.indexOf(document.activeElement);
    links[Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), links.length - 1)]?.focus();
  }
});

/* ---------------------------------------------------------------- small things */
$$("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
  await navigator.clipboard.writeText(button.dataset.copy);
  button.title = say.copied;
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1200);
}));
document.addEventListener("change", ({ target: select }) => {
  if (!select.matches(".filters select")) return;
  $$("select, input", select.form).forEach((field) => { field.disabled = !field.value; });
  select.form.submit();
});
$("#theme")?.addEventListener("click", (event) => {
  event.preventDefault();
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `ordertide_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
});
if (body.classList.contains("wall")) navigator.wakeLock?.request("screen").catch(() => {});
$("details.raw") && addEventListener("hashchange", () => $(location.hash)?.scrollIntoView());
follow();
