"""What a visitor of the playground does in Chromium, and sees."""

import json

BELIEF = "document.getElementById('ranked').textContent"
CAPTIONS = "[...document.querySelectorAll('figcaption')].map(each => each.textContent)"


class Visit:
    """A page that is open, and what a visitor does there."""

    def __init__(self, browser, address):
        self.browser, self.address = browser, address
        browser.resize(1280)
        browser.open(address)
        browser.wait("document.body.dataset.revision")

    def type(self, text):
        """Type a text in the place of the one that is there, and wait for its belief."""
        self.browser.evaluate("document.getElementById('text').focus()")
        self.browser.evaluate("document.getElementById('text').select()")
        self.browser.type(text)
        self.browser.wait(f"document.body.dataset.text === {json.dumps(text)}")

    def run(self):
        """Press Enter in the instruction, and wait until the episode is over."""
        self.browser.evaluate("document.getElementById('text').focus()")
        self.browser.press("Enter", 13, "\r")
        self.browser.wait("state.view.over")

    def click(self, *cells, panel=0):
        """Click a cell of a panel, or drag from one to the next."""
        box = self.browser.evaluate(
            "(() => { const canvas = document.querySelectorAll('canvas')"
            f"[{panel}]; canvas.scrollIntoView({{block: 'center'}});"
            " const {x, y} = canvas.getBoundingClientRect();"
            " const cell = (canvas.clientWidth - 20) / state.view.scene.columns;"
            " return [x + 20, y + 20, cell]; })()"
        )
        points = [
            (box[0] + (column + 0.5) * box[2], box[1] + (row + 0.5) * box[2])
            for row, column in cells
        ]
        revision = self.browser.evaluate("state.view.revision")
        self.browser.click(*points)
        self.browser.wait(f"state.view.revision > {revision} || !$('error').hidden")

    def check(self, selector):
        """Click an input."""
        revision = self.browser.evaluate("state.view.revision")
        self.browser.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        return revision

    def text(self, name):
        return self.browser.evaluate(f"document.getElementById({name!r}).textContent")


CONTRAST = """(() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).map(Number).slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (colour && colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("p, label, span, button:not(:disabled), h1, h2, li")];
  const shown = texts.filter((node) => node.textContent.trim() && node.offsetWidth > 2);
  return Math.min(...shown.map((node) => {
    const [a, b] = [getComputedStyle(node).color, behind(node)].map(light).sort();
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
})()"""
