// What a script can judge of a page: of the texts that are to be seen, those that are cut, that lie over another one, that
// are hard to read (contrast below 4.5, WCAG 2.2, 1.4.3). An expression: the list of faults.
(() => {
  const within = document.querySelector('dialog[open]') ?? document.body;
  const seen = [...within.querySelectorAll('*')].filter((it) => {
    const text = [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const box = it.getBoundingClientRect();
    return text && it.checkVisibility() && box.width && box.bottom > 0 && box.top < innerHeight
      && !['OPTION', 'SCRIPT', 'TITLE', 'TEXTAREA'].includes(it.tagName);
  });
  const scrolls = (it) => it && it !== within && (/(auto|scroll)/.test(getComputedStyle(it).overflow) || scrolls(it.parentElement));
  const number = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (it) => {
    for (; it; it = it.parentElement) {
      const colour = number(getComputedStyle(it).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return number(getComputedStyle(document.documentElement).backgroundColor);
  };
  const faults = [];
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`wider than the window: ${document.documentElement.scrollWidth}`);
  const boxes = [];
  for (const it of seen) {
    const said = it.textContent.trim().slice(0, 40);
    const style = getComputedStyle(it);
    if (it.scrollWidth > it.clientWidth + 1 && it.clientWidth && style.overflowX === 'hidden' && style.textOverflow !== 'ellipsis')
      faults.push(`cut: ${said}`);
    const colour = number(it.closest('svg') ? style.fill : style.color);
    const [high, low] = [light(colour), light(ground(it))].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5 && !it.closest(':disabled')) faults.push(`faint: ${said} ${style.color}`);
    if (scrolls(it.parentElement) || it.closest('.top')) continue;
    for (const node of it.childNodes) {
      if (node.nodeType !== 3 || !node.data.trim()) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) boxes.push([box, said]);
    }
  }
  boxes.forEach(([a, one], i) => boxes.slice(i + 1).forEach(([b, other]) => {
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5)
      faults.push(`over one another: ${one} | ${other}`);
  }));
  return faults;
})()
