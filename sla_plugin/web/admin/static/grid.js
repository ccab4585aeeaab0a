// Comfort only: in the grid of targets ↑ and ↓ go from row to row, and a time is echoed when its cell is left. The server says what counts.
(() => {
  const grid = document.querySelector("[data-grid]");
  if (!grid) return;
  const parts = /^(?:(\d+)\s*d)?\s*(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?\s*(?:(\d+)\s*s)?$/;
  const said = (text, calendar) => {
    const colon = /^(\d+)\s*[h:]\s*([0-5]\d)$/.exec(text);
    const found = colon ? [0, 0, colon[1], colon[2], 0] : parts.exec(text);
    if (!text || !found || (found[1] && !calendar)) return "";
    const [d, h, m, s] = found.slice(1).map((n) => Number(n || 0));
    let seconds = d * 86400 + h * 3600 + m * 60 + s;
    if (!seconds) return "";
    const sizes = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]].slice(calendar ? 0 : 1);
    const first = sizes.findIndex(([, size]) => seconds >= size);
    const words = [];
    for (const [unit, size] of sizes.slice(first, first + 2)) {
      const count = Math.floor(seconds / size);
      if (count) words.push(`${words.length && unit !== "h" ? String(count).padStart(2, "0") : count}\u00a0${unit}`);
      seconds %= size;
    }
    return words.join("\u00a0");
  };
  grid.addEventListener("change", (event) => {
    const cell = event.target.closest("input.cell");
    const echo = cell && cell.parentElement.querySelector("[data-echo]");
    if (!echo) return;
    const typed = cell.value.trim().toLowerCase();
    const own = typed.endsWith("cal");
    const calendar = own || cell.closest("tr").querySelector("select").value === "calendar";
    echo.textContent = said(own ? typed.slice(0, -3).trim() : typed, calendar);
  });
  grid.addEventListener("keydown", (event) => {
    if (!["ArrowUp", "ArrowDown"].includes(event.key) || !event.target.matches("input.cell")) return;
    const cell = event.target.closest("td"), row = cell.parentElement;
    const next = event.key === "ArrowUp" ? row.previousElementSibling : row.nextElementSibling;
    const input = next && next.children[cell.cellIndex].querySelector("input.cell");
    if (!input) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
})();
