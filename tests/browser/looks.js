// What page_checks.py asks of a page: each function returns a list of complaints, empty where all is well.
window.gistLooks = (() => {
  const describe = (element) => {
    const at = element.closest("[id]");
    return `${element.tagName.toLowerCase()} in #${at ? at.id : "?"}: ` +
           `"${element.textContent.trim().slice(0, 40)}"`;
  };
  const visible = (element) =>
    element.checkVisibility({opacityProperty: true, visibilityProperty: true}) &&
    !element.closest(".unseen, .skip");

  function structure() {
    const found = [];
    const one = (selector) => {
      const count = document.querySelectorAll(selector).length;
      if (count !== 1) found.push(`${count} of ${selector}`);
    };
    ["h1", "body > header", "header nav", "body > main", "body > footer", "head > title", "a.skip",
     "html[lang]", "meta[name=viewport]"].forEach(one);
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) found.push(`two of #${id}`);
    for (const attribute of ["aria-labelledby", "for"]) {
      for (const element of document.querySelectorAll(`[${attribute}]`)) {
        for (const id of element.getAttribute(attribute).split(" ")) {
          const label = document.getElementById(id);
          if (!label || attribute !== "for" && label.textContent.trim() === "") {
            found.push(`${attribute}=${id} has no text`);
          }
        }
      }
    }
    for (const link of document.querySelectorAll("a")) {
      const href = link.getAttribute("href");
      if (link.download && href.startsWith("data:")) continue;  // a file in the page
      if (!href.startsWith("#") || !document.getElementById(href.slice(1))) found.push(`link ${href}`);
    }
    for (const table of document.querySelectorAll("table")) {
      if (!table.caption || table.caption.textContent.trim() === "") found.push(`caption of #${table.id}`);
      const columns = table.tHead.rows[0].cells.length;
      for (const cell of table.tHead.rows[0].cells) {
        if (cell.scope !== "col") found.push(`scope of a column of #${table.id}`);
      }
      for (const row of table.tBodies[0].rows) {
        if (row.cells.length !== columns) found.push(`cells of a row of #${table.id}`);
        if (row.cells[0].scope !== "row") found.push(`scope of a row of #${table.id}`);
      }
    }
    for (const svg of document.querySelectorAll("svg[role=img]")) {
      const [title, description] = [svg.querySelector("title"), svg.querySelector("desc")];
      if (!title?.textContent.trim() || !description?.textContent.trim()) {
        found.push(`title or desc of ${describe(svg.parentElement)}`);
      }
    }
    for (const input of document.querySelectorAll("input, select")) {
      if (input.labels.length === 0) found.push(`label of #${input.id}`);
    }
    for (const element of document.querySelectorAll("[style]")) found.push(`style of ${describe(element)}`);
    return found;
  }

  function layout() {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) {
      found.push(`the page is ${root.scrollWidth} wide on a screen of ${root.clientWidth}`);
    }
    const box = (element) => element.getBoundingClientRect();
    const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 ||
                            a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
    const allApart = (elements, what) => {
      const boxes = elements.map(box);
      for (let i = 0; i < boxes.length; ++i) {
        for (let j = i + 1; j < boxes.length; ++j) {
          if (!apart(boxes[i], boxes[j])) {
            found.push(`${what} overlap: ${describe(elements[i])}, ${describe(elements[j])}`);
          }
        }
      }
    };
    allApart([...document.body.children].filter((e) => visible(e) && e.tagName !== "SCRIPT"), "landmarks");
    for (const section of document.querySelectorAll("main, section, .charts, .answers")) {
      const parts = [...section.children].filter(visible);
      allApart(parts, "parts");
      for (const part of parts) {
        if (box(part).width < 1 || box(part).height < 1) found.push(`empty: ${describe(part)}`);
        if (box(part).right > root.clientWidth + 1) found.push(`too far right: ${describe(part)}`);
      }
    }
    for (const svg of document.querySelectorAll("svg[role=img]")) {
      const outer = box(svg);
      for (const text of svg.querySelectorAll("text")) {
        const inner = box(text);
        const slack = 1.5;
        if (inner.left < outer.left - slack || inner.right > outer.right + slack ||
            inner.top < outer.top - slack || inner.bottom > outer.bottom + slack) {
          found.push(`text outside its drawing: ${describe(text)}`);
        }
      }
      allApart([...svg.querySelectorAll(".axis text")], "labels");
      allApart([...svg.querySelectorAll(".label, .value")], "labels");
    }
    return found;
  }

  function rgb(color) {
    const parts = color.match(/[\d.]+/g).map(Number);
    return parts.length === 3 ? [...parts, 1] : parts;
  }
  const over = (a, b) => a.slice(0, 3).map((value, i) => value * a[3] + b[i] * (1 - a[3]));
  function luminance(color) {
    const [r, g, b] = color.map((value) => value / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function contrast(a, b) {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  }
  const backgrounds = new Map();
  function background(element) {
    if (!element) return [255, 255, 255];
    if (!backgrounds.has(element)) {
      const own = rgb(getComputedStyle(element).backgroundColor);
      backgrounds.set(element, own[3] === 1 ? own.slice(0, 3)
                                            : over(own, background(element.parentElement)));
    }
    return backgrounds.get(element);
  }

  // WCAG 2.1, 1.4.3 and 1.4.11: text 4.5 (large text 3), drawings 3.
  function contrasts() {
    backgrounds.clear();
    const found = new Set();
    const check = (element, color, least) => {
      const ratio = contrast(over(rgb(color), background(element)), background(element));
      if (ratio < least) found.add(`contrast ${ratio.toFixed(2)} of ${describe(element)}`);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (node.data.trim() === "" || element.closest("script, title, desc, option") || !visible(element)) {
        continue;
      }
      const style = getComputedStyle(element);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
      check(element, element.closest("svg") ? style.fill : style.color, large ? 3 : 4.5);
    }
    for (const mark of document.querySelectorAll(".mark, .bar")) {
      if (visible(mark)) check(mark, getComputedStyle(mark).fill, 3);
    }
    for (const line of document.querySelectorAll(".line, .whisker, .level")) {
      check(line, getComputedStyle(line).stroke, 3);
    }
    for (const control of document.querySelectorAll("input, select")) {
      if (visible(control)) check(control, getComputedStyle(control).borderTopColor, 2.5);
    }
    return [...found];
  }

  // The boxes of charts, on the whole page.
  function charts() {
    return [...document.querySelectorAll("figure.chart > svg")].map((svg) => {
      const {x, y, width, height} = svg.getBoundingClientRect();
      return {x: x + scrollX, y: y + scrollY, width, height};
    });
  }

  // Whether what has the focus shows it.
  function focusShown() {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    return element !== document.body && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  }

  return {structure, layout, contrasts, charts, focusShown};
})();
