"""What holds for every page of gist, checked in a browser."""

import json
import struct
import zlib
from pathlib import Path

LOOKS = Path(__file__).with_name("looks.js").read_text()
SCREENS = {  # width, height, colours, medium
    "desktop": (1280, 800, "light", "screen"),
    "dark": (1280, 800, "dark", "screen"),
    "phone": (360, 640, "light", "screen"),
    "dark phone": (360, 640, "dark", "screen"),
    "print": (720, 1000, "dark", "print"),  # ink on paper, whatever the screen is
}


def pixels(png):
    """Rows of (red, green, blue) of a PNG as Chromium writes it: 8 bits, RGB or RGBA, not interlaced."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    size = {2: 3, 6: 4}[kind]
    data, at = b"", 8
    while at < len(png):
        [length] = struct.unpack(">I", png[at:at + 4])
        if png[at + 4:at + 8] == b"IDAT":
            data += png[at + 8:at + 8 + length]
        at += 12 + length
    data = zlib.decompress(data)
    before, stride, rows = bytearray(width * size), width * size + 1, []
    for y in range(height):
        kind, line = data[y * stride], bytearray(data[y * stride + 1:(y + 1) * stride])
        for i in range(len(line)):
            left = line[i - size] if i >= size else 0
            up, corner = before[i], before[i - size] if i >= size else 0
            if kind == 1:
                line[i] = line[i] + left & 255
            elif kind == 2:
                line[i] = line[i] + up & 255
            elif kind == 3:
                line[i] = line[i] + (left + up) // 2 & 255
            elif kind == 4:
                guess = left + up - corner
                line[i] = line[i] + min((left, up, corner), key=lambda each: abs(guess - each)) & 255
        rows.append([tuple(line[i:i + 3]) for i in range(0, len(line), size)])
        before = line
    return rows


def open_page(browser, path, screen, script=True):
    browser.screen(*SCREENS[screen], script=script)
    browser.open(path)
    browser.evaluate(LOOKS)


def check_page(test, browser, path, screens=tuple(SCREENS)):
    """Everything below, as far as the page has it."""
    for screen in screens:
        with test.subTest(page=Path(path).name, screen=screen):
            open_page(browser, path, screen)
            check_quiet(test, browser, path)
            dark = screen.startswith("dark")
            if not dark:  # colours move nothing
                check_looks(test, browser, "layout")
            check_looks(test, browser, "contrasts")
            check_colours(test, browser, dark)
            if screen == "desktop":
                check_looks(test, browser, "structure")
                check_charts(test, browser)
                check_keyboard(test, browser)
                check_sorting(test, browser)
                check_filters(test, browser)
                check_quiet(test, browser, path)
    with test.subTest(page=Path(path).name, screen="without script"):
        check_without_script(test, browser, path)


def check_looks(test, browser, what):
    found = browser.evaluate(f"gistLooks.{what}()")
    test.assertFalse(found, "\n".join([what, *found[:20]]))


def check_quiet(test, browser, path):
    """No error, no message, and nothing was asked of a network or of another file."""
    for event in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded",
                  "Page.javascriptDialogOpening"):
        test.assertEqual(browser.happened(event), [])
    urls = {event["request"]["url"] for event in browser.happened("Network.requestWillBeSent")}
    urls = {url for url in urls if not url.startswith("data:")}
    test.assertEqual(urls, {Path(path).resolve().as_uri()})


def check_colours(test, browser, dark):
    """Most of what is seen first is as light or dark as it should be."""
    png = browser.screenshot({"x": 0, "y": 0, "width": 320, "height": 320}, scale=0.125)
    levels = sorted(sum(pixel) / 3 for row in pixels(png) for pixel in row)
    middle = levels[len(levels) // 2]
    test.assertTrue(middle < 60 if dark else middle > 230, middle)


def check_charts(test, browser):
    """No chart is blank: something of another colour than the background is in each quarter of it."""
    for box in browser.evaluate("gistLooks.charts()"):
        rows = pixels(browser.screenshot(box, scale=0.5))
        height, width = len(rows) // 2, len(rows[0]) // 2
        for y in (0, height):
            for x in (0, width):
                part = {pixel for row in rows[y:y + height] for pixel in row[x:x + width]}
                test.assertGreater(len(part), 3, box)


def focused(browser):
    return browser.evaluate(
        "(() => { const e = document.activeElement; "
        "return e.id || e.dataset.list || e.closest('[id]')?.id || e.tagName; })()")


def check_keyboard(test, browser):
    """Tab reaches what there is to do, in order, and shows where it is; the skip link skips."""
    browser.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    browser.press("Tab")
    test.assertEqual(browser.evaluate("document.activeElement.className"), "skip")
    test.assertTrue(browser.evaluate("gistLooks.focusShown()"))
    test.assertGreaterEqual(browser.evaluate("document.activeElement.getBoundingClientRect().left"), 0)
    browser.press("Enter")
    test.assertEqual(browser.evaluate("document.activeElement.id"), "main")
    expected = browser.evaluate(
        """[...document.querySelectorAll("main a, main button, main select, main input, main summary, " +
             "main [tabindex='0']")].filter((e) => e.checkVisibility()).length""")
    seen = 0
    for _ in range(min(expected, 12)):
        browser.press("Tab")
        test.assertTrue(browser.evaluate("gistLooks.focusShown()"), focused(browser))
        test.assertTrue(browser.evaluate("!!document.activeElement.closest('main')"), focused(browser))
        seen += 1
    test.assertEqual(seen, min(expected, 12))


def column(browser, table, index):
    """Keys of a column's cells, as the page shows them: a number, a text, or nothing."""
    return browser.evaluate(
        f"""[...document.getElementById({json.dumps(table)}).tBodies[0].rows].map((row) => {{
          const cell = row.cells[{index}], data = cell.querySelector("data");
          const text = cell.textContent.trim();
          return data ? Number(data.value) : text === "–" || text === "" ? null : text;
        }})""")


def check_sorted(test, keys, direction):
    known = [key for key in keys if key is not None]
    test.assertEqual(keys, known + [None] * (len(keys) - len(known)))  # the unknown come last
    if all(isinstance(key, (int, float)) for key in known):
        test.assertEqual(known, sorted(known, reverse=direction == "descending"))


def check_sorting(test, browser):
    """Headings sort by click and by keyboard, in both directions, and say so; no row is lost."""
    tables = browser.evaluate(
        "[...document.querySelectorAll('table[data-sortable]')].map((table) => "
        "[table.id, table.tHead.rows[0].cells.length])")
    for table, columns in tables:
        rows = sorted(browser.evaluate(
            f"[...document.getElementById({json.dumps(table)}).tBodies[0].rows].map(row => row.textContent)"))
        for index in range(columns):
            heading = f"#{table} thead th:nth-child({index + 1})"
            for direction, act in (("ascending", "click"), ("descending", "keyboard")):
                if act == "click":
                    browser.evaluate(f"document.querySelector('{heading}').scrollIntoView()")
                    browser.click(heading + " button")
                else:
                    browser.evaluate(f"document.querySelector('{heading} button').focus()")
                    browser.press("Enter")
                with test.subTest(table=table, column=index, direction=direction):
                    test.assertEqual(
                        browser.evaluate(
                            f"[...document.querySelectorAll('#{table} th[aria-sort]')].map(th => "
                            "[th.cellIndex, th.ariaSort])"), [[index, direction]])
                    check_sorted(test, column(browser, table, index), direction)
        test.assertEqual(rows, sorted(browser.evaluate(
            f"[...document.getElementById({json.dumps(table)}).tBodies[0].rows].map(row => row.textContent)")))


def shown_items(browser, name):
    return browser.evaluate(
        f"[...document.querySelectorAll('#{name} [data-item]')].filter(e => e.checkVisibility())"
        ".map(e => ({...e.dataset}))")


def check_filters(test, browser):
    """Controls let through what they say, in the order that they say, and count it."""
    for name in browser.evaluate("[...document.querySelectorAll('form[data-list]')].map(f => f.dataset.list)"):
        everything = shown_items(browser, name)
        for select in browser.evaluate(
                f"[...document.querySelectorAll('form[data-list={name}] select')].map(s => s.id)"):
            browser.evaluate(f"document.getElementById('{select}').focus()")
            browser.press("ArrowDown")  # the second choice
            value, control = browser.evaluate(
                f"(s => [s.value, s.dataset.kind + ' ' + s.dataset.name])(document.getElementById('{select}'))")
            shown = shown_items(browser, name)
            with test.subTest(list=name, control=control, value=value):
                count = browser.evaluate(
                    f"document.querySelector('form[data-list={name}] output').textContent")
                test.assertEqual(count, f"{len(shown)} of {len(everything)} shown")
                kind, attribute = control.split()
                if kind == "filter":
                    test.assertEqual(shown, [e for e in everything if e[attribute] == value])
                else:
                    keys = [float(item[value.lstrip("-")]) for item in shown]
                    test.assertEqual(keys, sorted(keys, reverse=value.startswith("-")))
            browser.evaluate(
                f"(s => {{ s.selectedIndex = 0; s.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
                f"(document.getElementById('{select}'))")
            test.assertEqual(shown_items(browser, name), everything)
        search = f"{name}-words"
        if browser.evaluate(f"!!document.getElementById('{search}')"):
            browser.evaluate(f"document.getElementById('{search}').focus()")
            browser.type("zzz no such words")
            test.assertEqual(shown_items(browser, name), [])
            browser.evaluate(
                f"(s => {{ s.value = ''; s.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
                f"(document.getElementById('{search}'))")
            test.assertEqual(shown_items(browser, name), everything)


def check_without_script(test, browser, path):
    """Everything is there, but for what needs the script."""
    count = "document.querySelectorAll('tbody tr, article, figure').length"
    shown = "[...document.querySelectorAll('tbody tr, article, figure')].filter(e => e.checkVisibility()).length"
    open_page(browser, path, "desktop")
    with_script = browser.evaluate(count)
    open_page(browser, path, "desktop", script=False)
    test.assertEqual(browser.evaluate(shown), with_script)
    test.assertEqual(browser.evaluate("document.querySelectorAll('button').length"), 0)
    test.assertFalse(browser.evaluate(
        "[...document.querySelectorAll('form')].some(form => form.checkVisibility())"))
    browser.screen(*SCREENS["desktop"])
