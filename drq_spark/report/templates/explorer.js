// Search and tree of the items in #explorer-items. Text from outside only ever becomes textContent.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer-items").textContent);
  const count = data.ids.length, levels = data.codes.length;
  const FOUND = 30, NEAR = 12, BRANCHES = 24;
  const box = document.getElementById("explorer-query"), results = document.getElementById("explorer-results");
  const detail = document.getElementById("explorer-item"), said = document.getElementById("explorer-said");
  const tree = document.getElementById("explorer-tree"), crowded = document.getElementById("explorer-crowded");

  const nameOf = (i) => data.names[i] ?? data.ids[i];
  const token = (level, code) => `<${String.fromCharCode(97 + level)}_${code}>`;
  const codesOf = (i) => data.codes.map((column) => column[i]);
  const exposureOf = (i) => (data.exposure ? data.exposure[i] : 0);
  const percent = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(part < whole / 100 ? 2 : 1)}\u00a0%` : "–");
  const plural = (n) => `${n.toLocaleString("en")} item${n === 1 ? "" : "s"}`;
  const total = data.exposure ? data.exposure.reduce((sum, value) => sum + value, 0) : 0;
  const searched = data.ids.map((id, i) => `${nameOf(i)}\n${id}`.toLocaleLowerCase());

  const make = (tag, attributes = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };
  const shared = (a, b) => {
    let level = 0;
    while (level < levels && data.codes[level][a] === data.codes[level][b]) level += 1;
    return level;
  };
  // Items are sorted by SID, so that those with a prefix stand side by side.
  const family = (i, depth) => {
    let first = i, last = i;
    while (first > 0 && shared(first - 1, i) >= depth) first -= 1;
    while (last + 1 < count && shared(last + 1, i) >= depth) last += 1;
    return [first, last + 1];
  };
  const mostExposed = (first, end, most) => {
    const order = Array.from({ length: end - first }, (_, k) => first + k);
    return order.sort((a, b) => exposureOf(b) - exposureOf(a) || a - b).slice(0, most);
  };
  const sid = (i, same) => {
    const line = make("span", { class: same === undefined ? "sid whole" : "sid" });
    codesOf(i).forEach((code, level) => line.append(make(level < same ? "b" : "span", {}, token(level, code))));
    return line;
  };
  const opener = (i) => {
    const button = make("button", { type: "button", class: "item" }, make("bdi", {}, nameOf(i)));
    button.addEventListener("click", () => show(i, true));
    return button;
  };
  const list = (items, from) =>
    make("ol", {}, ...items.map((i) => make("li", {}, opener(i), from === undefined ? "" : sid(i, shared(i, from)))));

  function show(i, focus) {
    const [first, end] = family(i, levels);
    const same = mostExposed(first, end, NEAR + 1).filter((other) => other !== i).slice(0, NEAR);
    const near = [];
    for (let depth = levels - 1; depth > 0 && near.length < NEAR; depth -= 1) {
      const [low, high] = family(i, depth);
      const known = new Set([...near, i]);
      const fresh = mostExposed(low, high, count).filter((other) => !known.has(other) && shared(other, i) < levels);
      near.push(...fresh.slice(0, NEAR - near.length));
    }
    const facts = [`id ${data.ids[i]}`];
    if (data.margin) facts.push(`smallest margin ${data.margin[i]}`);
    if (data.exposure) facts.push(`exposure ${data.exposure[i].toLocaleString("en")}`);
    const title = make("h3", { tabindex: "-1" }, make("bdi", {}, nameOf(i)));
    const inTree = make("button", { type: "button" }, "Show in the tree");
    inTree.addEventListener("click", () => openTo(i));
    const others = end - first - 1;
    const shownOf = others > same.length ? `, the ${same.length} most exposed` : "";
    detail.replaceChildren(
      title, sid(i), make("p", { class: "note" }, facts.join(", ")), inTree,
      make("h4", {}, others ? `Also with this SID: ${plural(others)}${shownOf}` : "No other item has this SID"), list(same),
      make("h4", {}, near.length ? "Nearest by prefix" : "No other item begins with its first code"), list(near, i),
    );
    if (focus) title.focus();
  }

  function search() {
    const wanted = box.value.trim().toLocaleLowerCase();
    const found = [];
    let all = 0;
    for (let i = 0; wanted && i < count; i += 1) {
      if (searched[i].includes(wanted)) { all += 1; found.push(i); }
    }
    const rank = (i) => (searched[i].startsWith(wanted) ? 0 : 1);
    found.sort((a, b) => rank(a) - rank(b) || exposureOf(b) - exposureOf(a) || a - b);
    results.replaceChildren(...found.slice(0, FOUND).map((i) => make("li", {}, opener(i), sid(i))));
    said.textContent = !wanted ? "" : all > FOUND ? `${plural(all)}, the first ${FOUND} are shown` : plural(all);
  }

  function branches(first, end, level) {
    const starts = [];
    for (let i = first; i < end; i += 1) {
      if (i === first || data.codes[level][i] !== data.codes[level][i - 1]) starts.push(i);
    }
    const made = starts.map((start, k) => [start, k + 1 < starts.length ? starts[k + 1] : end]);
    return made.sort((a, b) => b[1] - b[0] - (a[1] - a[0]) || a[0] - b[0]);
  }
  const weight = (first, end) => {
    let sum = 0;
    for (let i = first; i < end; i += 1) sum += exposureOf(i);
    return sum;
  };
  function branch([first, end], level) {
    const size = end - first, inside = make("div", { class: "branches", hidden: "" });
    const typical = mostExposed(first, end, 3).map(nameOf).join(" · ");
    const share = `${plural(size)}, ${percent(size, count)}` + (total ? `, ${percent(weight(first, end), total)} of exposure` : "");
    const button = make("button", { type: "button", "aria-expanded": "false" },
      make("code", {}, token(level, data.codes[level][first])), make("span", {}, share), make("bdi", { class: "note" }, typical));
    const toggle = (open) => {
      if (open && !inside.hasChildNodes()) fill(inside, first, end, level + 1);
      inside.toggleAttribute("hidden", !open);
      button.setAttribute("aria-expanded", String(open));
    };
    button.addEventListener("click", () => toggle(button.getAttribute("aria-expanded") !== "true"));
    const row = make("li", {}, button, inside);
    row.reach = (i) => (i >= first && i < end ? (toggle(true), inside) : null);
    row.button = button;
    return row;
  }
  function fill(inside, first, end, level) {
    if (level === levels) {
      inside.append(list(mostExposed(first, end, BRANCHES)));
      return;
    }
    const rows = make("ul"), all = branches(first, end, level);
    const more = make("button", { type: "button" });
    const add = (most) => {
      rows.append(...all.splice(0, most).map((part) => branch(part, level)));
      more.textContent = `${all.length.toLocaleString("en")} more codes`;
      more.toggleAttribute("hidden", !all.length);
    };
    more.addEventListener("click", () => add(BRANCHES));
    inside.addAll = () => add(all.length);
    add(BRANCHES);
    inside.append(rows, more);
  }
  function openTo(i) {
    let inside = tree, last = null;
    while (inside) {
      const rows = () => [...(inside.querySelector(":scope > ul")?.children ?? [])];
      let next = null;
      for (let tries = 0; tries < 2 && !next; tries += 1) {
        if (tries) inside.addAll?.();
        for (const row of rows()) {
          next = row.reach(i);
          if (next) { last = row.button; break; }
        }
      }
      inside = next;
    }
    last?.focus();
    last?.scrollIntoView({ block: "center" });
  }

  const buckets = [];
  for (let first = 0; first < count; ) {
    const end = family(first, levels)[1];
    if (end - first > 1) buckets.push([first, end]);
    first = end;
  }
  buckets.sort((a, b) => b[1] - b[0] - (a[1] - a[0]) || a[0] - b[0]);
  crowded.append(...buckets.slice(0, BRANCHES).map(([first, end]) => {
    const names = mostExposed(first, end, 5);
    return make("li", {}, sid(first), make("span", { class: "note" }, plural(end - first)), list(names));
  }));
  if (!buckets.length) crowded.append(make("li", {}, "No two of these items share a SID."));

  box.addEventListener("input", search);
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") { results.querySelector("button")?.focus(); event.preventDefault(); }
    if (event.key === "Enter") results.querySelector("button")?.click();
  });
  results.addEventListener("keydown", (event) => {
    const buttons = [...results.querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || at < 0) return;
    (at + step < 0 ? box : buttons[Math.min(at + step, buttons.length - 1)]).focus();
    event.preventDefault();
  });
  fill(tree, 0, count, 0);
  document.getElementById("explorer").classList.add("ready");
})();
