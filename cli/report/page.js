"use strict";
// Sorts tables by their headings, sorts and filters lists by their controls, and shows the values of
// lines under the pointer.
(() => {
  const collator = new Intl.Collator(undefined, {numeric: true});

  // What a cell is sorted by: the exact number where it has one, else its text; null where it is empty.
  function keyOf(row, column) {
    const cell = row.cells[column];
    const data = cell.querySelector("data");
    if (data) return Number(data.value);
    const text = cell.textContent.trim();
    return text === "" || text === "–" ? null : text;
  }

  // Empty cells come last in either direction.
  function compare(a, b, direction) {
    if (a === null || b === null) return (a === null) - (b === null);
    const both = typeof a === "number" && typeof b === "number";
    return direction * (both ? a - b : collator.compare(String(a), String(b)));
  }

  function sortBy(table, heading) {
    const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const rows = [...table.tBodies[0].rows];
    const keys = new Map(rows.map((row) => [row, keyOf(row, heading.cellIndex)]));
    rows.sort((a, b) => compare(keys.get(a), keys.get(b), direction));
    table.tBodies[0].append(...rows);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    for (const heading of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sortBy(table, heading));
      heading.append(button);
    }
  }

  function lets(control, item) {
    if (control.dataset.kind === "filter") {
      return control.value === "" || item.dataset[control.dataset.name] === control.value;
    }
    if (control.dataset.kind === "words") {
      return item.textContent.toLowerCase().includes(control.value.trim().toLowerCase());
    }
    return true;
  }

  function order(list, items, control) {
    const name = control.value.replace("-", "");
    const direction = control.value.startsWith("-") ? -1 : 1;
    items.sort((a, b) => direction * (a.dataset[name] - b.dataset[name]) ||
                         a.dataset.order - b.dataset.order);
    list.append(...items);
  }

  for (const form of document.querySelectorAll("form[data-list]")) {
    const list = document.getElementById(form.dataset.list);
    const items = [...list.querySelectorAll("[data-item]")];
    const controls = [...form.querySelectorAll("[data-kind]")];
    const apply = () => {
      let shown = 0;
      for (const item of items) {
        item.hidden = !controls.every((control) => lets(control, item));
        if (!item.hidden) ++shown;
      }
      form.querySelector("output").textContent = `${shown} of ${items.length} shown`;
    };
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      if (event.target.dataset.kind === "order") order(list, items, event.target);
      apply();
    });
    form.hidden = false;
    apply();
  }

  // Values of lines under the pointer: of each line those of its nearest point.
  const svgElement = (name, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };
  const pointsOf = (group) => group.dataset.points.split(";").map((point) => {
    const [x, y, at, value] = point.split("|");
    return {name: group.dataset.name, x: Number(x), y: Number(y), at, value};
  });

  function showValues(svg, pointer, lines, x) {
    const distance = (point) => Math.abs(point.x - x);
    const nearest = lines.map((points) => points.reduce((a, b) => distance(b) < distance(a) ? b : a));
    const first = nearest.reduce((a, b) => distance(b) < distance(a) ? b : a);
    const right = first.x > svg.viewBox.baseVal.width / 2;
    const place = {x: first.x + (right ? -6 : 6), "text-anchor": right ? "end" : "start"};
    pointer.replaceChildren(svgElement("line", {x1: first.x, x2: first.x, y1: 26, y2: 216}));
    const rows = [first.at, ...nearest.filter((point) => distance(point) < distance(first) + 12)
      .map((point) => `${point.name}: ${point.value}`)];
    rows.forEach((row, i) => pointer.append(svgElement("text", {...place, y: 38 + 15 * i}, row)));
  }

  for (const svg of document.querySelectorAll("figure.chart > svg")) {
    const lines = [...svg.querySelectorAll("[data-points]")].map(pointsOf);
    if (lines.length === 0) continue;
    const pointer = svg.appendChild(svgElement("g", {class: "pointer", "aria-hidden": "true"}));
    const follow = (event) => {
      const box = svg.getBoundingClientRect();
      showValues(svg, pointer, lines, (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width);
    };
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
    svg.addEventListener("pointerleave", () => pointer.replaceChildren());
  }
})();
