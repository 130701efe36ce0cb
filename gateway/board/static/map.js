"use strict";
/* The route over tiles, where the settings name some. The outlines of land stay until the first tile
   has come, and for good where none does: offline, or while the provider is down. */
(() => {
  const frame = document.getElementById("tiles"), drawn = document.getElementById("route");
  if (!frame || !window.L) return;
  const ground = frame.parentElement;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const NEAR_X = 96, NEAR_Y = 18, RIGHT = 0.62;  // pixels between two names; share of the width
  const map = L.map(frame, {
    attributionControl: false,  // stands beside the map, where it needs no script to be read
    zoomControl: false,
    scrollWheelZoom: false,  // the wheel and one finger scroll the page
    dragging: !L.Browser.mobile,
    fadeAnimation: !still, zoomAnimation: !still, markerZoomAnimation: !still, inertia: !still,
    worldCopyJump: true,
    minZoom: 2,
    maxZoom: Number(frame.dataset.zoom),
  });
  const layers = L.layerGroup().addTo(map);
  let bounds = null, labels = [], isMoved = false, isFitting = false;

  function fit() {
    isFitting = true;
    map.fitBounds(bounds, { padding: [44, 36], maxZoom: 10, animate: false });
    isFitting = isMoved = false;
  }
  function pin(at, kind, digit, name, order) {
    const element = document.createElement("span");
    if (digit) element.append(digit);
    const label = document.createElement("span");
    label.className = "town";
    label.textContent = name;
    element.append(label);
    const icon = L.divIcon({ className: `stop ${kind}`, html: element, iconSize: [20, 20] });
    L.marker(at, { icon, interactive: false, keyboard: false, zIndexOffset: order }).addTo(layers);
    labels.push({ at, label, rank: -order });
  }
  function line(points, kind) {
    L.polyline(points, { className: `edge ${kind}`, interactive: false }).addTo(layers);
    L.polyline(points, { className: kind, interactive: false }).addTo(layers);
  }
  function draw() {
    const route = JSON.parse(drawn.querySelector("[data-route]").dataset.route);
    const end = route.destination;
    layers.clearLayers();
    labels = [];
    const isAt = (at) => end && String(at) === String(end.at);
    for (const way of route.ways) {
      const last = way.stops.at(-1).at;
      if (end && way.ahead && !isAt(last)) line([last, end.at], "ahead");
    }
    for (const way of route.ways) {
      line(way.stops.map((stop) => stop.at), `line way-${way.colour}`);
      way.stops.forEach((stop) => pin(stop.at, `way-${way.colour}${stop.present ? " present" : ""}`,
        String(stop.number), stop.name, stop.present ? 1000 : stop.number));
    }
    const isNamed = route.ways.some((way) => way.stops.some((stop) => isAt(stop.at)));
    if (end) pin(end.at, "target", "", isNamed ? "" : end.name, isNamed ? 0 : 900);
    bounds = L.latLngBounds(labels.map((each) => each.at));
    if (!isMoved) fit();
    arrange();
  }
  /* A name too near to another one is left out; zooming in brings it back. */
  function arrange() {
    const shown = [], width = map.getSize().x;
    for (const each of [...labels].sort((a, b) => a.rank - b.rank)) {
      const { x, y } = map.latLngToContainerPoint(each.at);
      each.label.classList.toggle("end", x > width * RIGHT);
      const isFree = shown.every((o) => Math.abs(y - o.y) >= NEAR_Y || Math.abs(x - o.x) >= NEAR_X);
      each.label.hidden = !each.label.textContent || !isFree;
      if (!each.label.hidden) shown.push({ x, y });
    }
  }
  const zooms = { in: () => map.zoomIn(), out: () => map.zoomOut(), all: fit };
  for (const button of ground.querySelectorAll("[data-zoom-to]")) {
    button.addEventListener("click", () => zooms[button.dataset.zoomTo]());
  }
  map.setView([0, 0], 2);
  draw();
  map.on("zoomstart dragstart", () => { isMoved ||= !isFitting; });
  map.on("zoomend moveend", arrange);
  map.on("resize", () => { if (!isMoved) fit(); });
  L.tileLayer(frame.dataset.address, {
    maxZoom: Number(frame.dataset.zoom),
    referrerPolicy: "origin",  // providers ask for it; never the path, which may hold a link's token
  }).once("tileload", () => ground.classList.add("has-tiles")).addTo(map);
  new MutationObserver(draw).observe(drawn, { childList: true, subtree: true });
})();
