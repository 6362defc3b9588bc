"use strict";
// The timeline of a report: rows of calls on a canvas, drawn from columns. Everything else of the page is plain HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const size = data.began.length;
  const began = new Float64Array(size), ended = new Float64Array(size), queued = new Float64Array(size);
  for (let call = 0, at = 0; call < size; call++) {
    at += data.began[call];
    began[call] = at;
    ended[call] = at + data.took[call];
    queued[call] = at - data.waited[call];
  }
  const total = Math.max(data.total, 1);
  const box = document.getElementById("lanes"), canvas = box.querySelector("canvas");
  const space = box.querySelector(".space"), picked = document.getElementById("picked");
  const search = document.getElementById("search"), order = document.getElementById("order");
  const ctx = canvas.getContext("2d", { alpha: false });
  const ROW = 18, HEAD = 20, LABEL = 190, MOST_LANES = 8;
  const critical = new Set(data.critical);
  let from = 0, to = total, rows = [], matches = null, chosen = -1, colours = {}, waiting = false;

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["paper", "ink", "faint", "line", "fill", "accent", "succeeded", "failed", "cancelled", "waited", "dim", "critical"])
      colours[name] = style.getPropertyValue("--" + name).trim();
  }

  // A row for each task, or for each worker. Calls that overlap stand in lanes below each other.
  function makeRows() {
    const key = order.value === "worker" ? data.worker : data.task, found = new Map();
    for (let call = 0; call < size; call++) {
      let row = found.get(key[call]);
      if (!row) found.set(key[call], (row = { name: data.names[key[call]], lanes: [], ends: [], count: 0, folded: 0 }));
      row.count++;
      let lane = 0;
      while (lane < row.lanes.length && row.ends[lane] > began[call]) lane++;
      if (lane === MOST_LANES) { row.folded++; lane--; }
      if (lane === row.lanes.length) { row.lanes.push([]); row.ends.push(0); }
      row.lanes[lane].push(call);
      row.ends[lane] = Math.max(row.ends[lane], ended[call]);
    }
    rows = [...found.values()];
    let top = HEAD;
    for (const row of rows) { row.top = top; top += row.lanes.length * ROW + 6; }
    space.style.height = Math.max(top, box.clientHeight) + "px";
  }

  function firstEnding(lane, moment) {
    let low = 0, high = lane.length;
    while (low < high) { const middle = (low + high) >> 1; if (ended[lane[middle]] < moment) low = middle + 1; else high = middle; }
    return low;
  }

  const statusColour = ["succeeded", "failed", "cancelled"];
  function draw() {
    waiting = false;
    const ratio = window.devicePixelRatio || 1, width = box.clientWidth, height = box.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
      canvas.style.width = width + "px"; canvas.style.height = height + "px";
    }
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = colours.paper;
    ctx.fillRect(0, 0, width, height);
    const scale = (width - LABEL) / (to - from), scroll = box.scrollTop, pixel = 1 / scale;
    const x = (moment) => LABEL + (moment - from) * scale;
    ctx.font = "12px system-ui, sans-serif";
    ctx.textBaseline = "middle";
    for (const row of rows) {
      const bottom = row.top + row.lanes.length * ROW;
      if (bottom < scroll || row.top > scroll + height) continue;
      row.lanes.forEach((lane, index) => {
        const y = row.top - scroll + index * ROW;
        let last = -1;
        for (let place = firstEnding(lane, from); place < lane.length; place++) {
          const call = lane[place];
          if (began[call] > to) break;
          const left = Math.max(x(began[call]), LABEL), right = Math.max(x(ended[call]), left + 1);
          if (right <= last && call !== chosen && !data.status[call]) {
            // Thinner than a pixel that is painted already: go on behind it.
            place = Math.max(place, firstEnding(lane, from + (last - LABEL) * pixel) - 1);
            continue;
          }
          if (queued[call] < began[call]) {
            ctx.fillStyle = colours.waited;
            const begin = Math.max(x(queued[call]), LABEL);
            ctx.fillRect(begin, y + ROW / 2 - 1, Math.max(left - begin, 0), 2);
          }
          const dimmed = matches && !matches[call];
          ctx.fillStyle = dimmed ? colours.dim : colours[statusColour[data.status[call]]];
          ctx.fillRect(left, y + 2, Math.min(right, width) - left, ROW - 4);
          if (critical.has(call) || call === chosen) {
            ctx.fillStyle = call === chosen ? colours.accent : colours.critical;
            ctx.fillRect(left, y + ROW - 4, Math.min(right, width) - left, 3);
          }
          last = Math.ceil(right);
        }
      });
      ctx.fillStyle = colours.paper;
      ctx.fillRect(0, row.top - scroll, LABEL - 4, row.lanes.length * ROW);
      ctx.fillStyle = colours.ink;
      ctx.fillText(short(row.name), 8, row.top - scroll + ROW / 2);
      if (row.lanes.length > 1) {
        ctx.fillStyle = colours.faint;
        ctx.fillText(row.count.toLocaleString("en") + " calls", 8, row.top - scroll + ROW * 1.5);
      }
    }
    for (const [call, moment] of data.retries) {
      const moments = x(moment), spot = placeOf(call);
      if (spot && moments > LABEL) { ctx.fillStyle = colours.failed; ctx.fillRect(moments, spot - scroll, 2, ROW); }
    }
    drawAxis(width, x);
  }

  let spots = null;
  function placeOf(call) {
    if (!spots) {
      spots = new Map();
      const wanted = new Set(data.retries.map((each) => each[0]));
      for (const row of rows) row.lanes.forEach((lane, index) => {
        for (const each of lane) if (wanted.has(each)) spots.set(each, row.top + index * ROW);
      });
    }
    return spots.get(call);
  }

  function short(name) { return name.length > 26 ? name.slice(0, 25) + "\u2026" : name; }

  function drawAxis(width, x) {
    ctx.fillStyle = colours.fill;
    ctx.fillRect(0, 0, width, HEAD - 2);
    const wish = (to - from) / Math.max(2, (width - LABEL) / 110), power = Math.pow(10, Math.floor(Math.log10(wish)));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= wish);
    ctx.fillStyle = colours.faint;
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      ctx.fillText(time(at, step), x(at) + 3, HEAD / 2);
      ctx.fillRect(x(at), 0, 1, HEAD - 2);
    }
  }

  function time(us, step = us) {
    const size = Math.max(Math.abs(us), step);
    if (size < 1000) return +us.toPrecision(4) + " us";
    if (size < 1e6) return +(us / 1e3).toPrecision(5) + " ms";
    return +(us / 1e6).toPrecision(6) + " s";
  }

  function show() { if (!waiting) { waiting = true; requestAnimationFrame(draw); } }

  function zoom(factor, middle = (from + to) / 2) {
    performance.mark("zoom-begin");
    const span = Math.min(Math.max((to - from) * factor, 0.5), total);
    from = Math.min(Math.max(middle - (middle - from) * (span / (to - from)), 0), total - span);
    to = from + span;
    draw();
    performance.measure("zoom", "zoom-begin");
  }

  function pan(part) {
    const span = to - from;
    from = Math.min(Math.max(from + span * part, 0), total - span);
    to = from + span;
    show();
  }

  function callAt(clientX, clientY) {
    const area = box.getBoundingClientRect(), y = clientY - area.top + box.scrollTop;
    const scale = (box.clientWidth - LABEL) / (to - from), moment = from + (clientX - area.left - LABEL) / scale;
    for (const row of rows) {
      const index = Math.floor((y - row.top) / ROW);
      if (index < 0 || index >= row.lanes.length || clientX - area.left < LABEL) continue;
      const lane = row.lanes[index], place = firstEnding(lane, moment - 2 / scale);
      if (place < lane.length && began[lane[place]] <= moment + 2 / scale) return lane[place];
    }
    return -1;
  }

  function idOf(call) {
    const tree = data.tree[call], item = data.item[call];
    return "n" + data.node[call] + (tree ? "@" + tree : "") + (item < 0 ? "" : "[" + item + "]");
  }

  function pick(call) {
    chosen = call;
    picked.textContent = call < 0 ? "" : [
      data.names[data.task[call]] + " " + idOf(call), data.names[data.statuses[data.status[call]]],
      "began at " + time(began[call]), "took " + time(ended[call] - began[call]),
      began[call] > queued[call] ? "waited " + time(began[call] - queued[call]) : "",
      data.attempt[call] > 1 ? "attempt " + data.attempt[call] : "", "on " + data.names[data.worker[call]],
      critical.has(call) ? "on the critical path" : "",
      data.error[call] < 0 ? "" : data.names[data.error[call]],
    ].filter(Boolean).join(" \u00b7 ");
    show();
  }

  function find() {
    const wanted = search.value.trim().toLowerCase();
    matches = null;
    let count = 0, first = -1;
    if (wanted) {
      matches = new Uint8Array(size);
      const hit = data.names.map((name) => name.toLowerCase().includes(wanted));
      for (let call = 0; call < size; call++)
        if (hit[data.task[call]] || (data.error[call] >= 0 && hit[data.error[call]]) || idOf(call) === wanted) {
          matches[call] = 1;
          if (!count++) first = call;
        }
    }
    document.getElementById("found").textContent = wanted ? count.toLocaleString("en") + " calls" : "";
    if (count && count <= 50) pick(first); else show();
  }

  box.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey && !event.altKey && Math.abs(event.deltaY) >= Math.abs(event.deltaX)) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) { pan(event.deltaX / 800); return; }
    const area = box.getBoundingClientRect();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, from + ((event.clientX - area.left - LABEL) / (box.clientWidth - LABEL)) * (to - from));
  }, { passive: false });
  let drag = null;
  box.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, from, moved: false }; });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    const shift = event.clientX - drag.x;
    if (Math.abs(shift) > 3) drag.moved = true;
    if (drag.moved) { const span = to - from; from = drag.from; to = from + span; pan(-shift / (box.clientWidth - LABEL)); }
  });
  addEventListener("pointerup", (event) => {
    if (drag && !drag.moved && box.contains(event.target)) pick(callAt(event.clientX, event.clientY));
    drag = null;
  });
  box.addEventListener("scroll", show);
  box.addEventListener("keydown", (event) => {
    const act = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), "0": () => zoom(Infinity) }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  for (const [id, factor] of [["in", 0.5], ["out", 2], ["all", Infinity]])
    document.getElementById("zoom-" + id).addEventListener("click", () => zoom(factor));
  search.addEventListener("input", find);
  order.addEventListener("change", () => { spots = null; makeRows(); show(); });
  addEventListener("resize", show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); show(); });

  readColours();
  makeRows();
  draw();
  performance.mark("cascade-ready");
})();
