// Comfort for the calendar editor: hours are added up as they are typed, a week in half hours can be painted, days are copied in place. The text is what is saved.
(() => {
  const paint = document.getElementById("paint");
  if (!paint) return;
  const DAY = 1440, WEEK = 7 * DAY, STEP = 30, ROWS = DAY / STEP;
  const two = (n) => String(n).padStart(2, "0");
  const clock = (minute) => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
  const around = document.getElementById("around");
  const days = [...document.querySelectorAll("[data-day]")].map((row) => ({
    row, on: row.querySelector("[type=checkbox]"), text: row.querySelector("input.form-control"), facts: row.querySelector(".day-facts"),
    name: row.querySelector(".day-on").textContent.trim(), short: row.dataset.short,
  }));

  // --- the text --------------------------------------------------------------------------------------------------------
  const TIME = "(\\d{1,2})(?:[:.h]?(\\d{2}))?\\s*(am|pm)?";
  const INTERVAL = new RegExp(`^${TIME}\\s*(?:[-\\u2013\\u2014\\u2212]|to)\\s*${TIME}$`, "i");
  const minute = (hour, rest, half) => {
    let h = Number(hour);
    if (half && h >= 1 && h <= 12) h = (h % 12) + (half.toLowerCase() === "pm" ? 12 : 0);
    const m = h * 60 + Number(rest || 0);
    return Number(rest || 0) > 59 || m > DAY ? NaN : m;
  };
  // [start, end] of each interval, an end above DAY is on the next day; null where the text cannot be read
  const read = (text) => {
    const spans = [];
    for (const part of text.split(/[,;]/).map((p) => p.trim()).filter(Boolean)) {
      const found = INTERVAL.exec(part);
      if (!found) return null;
      const start = minute(found[1], found[2], found[3]), end = minute(found[4], found[5], found[6]);
      if (!(start < DAY) || Number.isNaN(end) || start === end || end === DAY - 1) return null;
      spans.push([start, end > start ? end : end + DAY]);
    }
    spans.sort((a, b) => a[0] - b[0]);
    return spans.some((span, n) => n && span[0] < spans[n - 1][1]) ? null : spans;
  };
  const merged = (spans) => {
    const found = [];
    for (const [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
      const last = found[found.length - 1];
      if (start >= end) continue;
      if (last && start <= last[1]) last[1] = Math.max(last[1], end);
      else found.push([start, end]);
    }
    return found;
  };
  // the open minutes of the week, Monday 0:00 is 0; a Sunday night runs into Monday
  const week = () => {
    if (around.checked) return [[0, WEEK]];
    const spans = [];
    days.forEach((day, n) => {
      for (const [start, end] of day.on.checked ? read(day.text.value) || [] : []) {
        spans.push([n * DAY + start, Math.min(n * DAY + end, WEEK)]);
        if (n * DAY + end > WEEK) spans.push([0, n * DAY + end - WEEK]);
      }
    });
    return merged(spans);
  };
  // a week as texts: what ends by noon of the next day stays one overnight shift, anything else is cut at midnight
  const texts = (spans) => {
    const rows = days.map(() => []);
    let open = spans.map((span) => [...span]);
    const first = open[0], last = open[open.length - 1];
    if (open.length > 1 && first[0] === 0 && last[1] === WEEK && first[1] <= DAY / 2 && last[0] > WEEK - DAY) {
      last[1] += first[1];
      open = open.slice(1);
    }
    for (let [start, end] of open) {
      while (start < end) {
        const n = Math.floor(start / DAY), midnight = (n + 1) * DAY;
        const stop = end > midnight && (end - midnight > DAY / 2 || end - start >= DAY) ? midnight : end;
        rows[n % 7].push(`${clock(start - n * DAY)}\u2013${clock(stop > midnight ? stop - midnight : stop - n * DAY)}`);
        start = stop;
      }
    }
    return rows.map((row) => row.join(", "));
  };
  const duration = (minutes) => {
    const hours = Math.floor(minutes / 60), rest = minutes % 60;
    return hours ? `${hours}\u00a0h${rest ? `\u00a0${two(rest)}\u00a0m` : ""}` : `${rest}\u00a0m`;
  };

  // --- what the text says ----------------------------------------------------------------------------------------------
  const show = () => {
    days.forEach((day, n) => {
      const spans = read(day.text.value), facts = day.facts;
      if (!day.on.checked) facts.textContent = day.text.value.trim() ? facts.dataset.remembers : facts.dataset.closed;
      else if (!spans || !spans.length) facts.textContent = "";
      else {
        const end = spans[spans.length - 1][1];
        const into = end > DAY ? ` \u2192 ${days[(n + 1) % 7].short} ${clock(end - DAY)}` : "";
        facts.textContent = duration(spans.reduce((sum, [a, b]) => sum + b - a, 0)) + into;
      }
    });
    const open = week();
    document.getElementById("weekly").textContent = duration(open.reduce((sum, [a, b]) => sum + b - a, 0));
    mirror(open);
  };

  // --- the painted week ------------------------------------------------------------------------------------------------
  const words = paint.dataset, editable = words.editable === "yes";
  const cells = [];
  const table = document.createElement("table");
  table.className = "paint";
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", words.label);
  table.setAttribute("aria-multiselectable", "true");
  const head = table.createTHead().insertRow();
  const heading = (row, text, scope, hidden) => {
    const cell = document.createElement("th");
    cell.scope = scope;
    if (hidden) {
      const inner = document.createElement("span");
      inner.className = "visually-hidden";
      inner.textContent = text;
      cell.append(inner);
    } else cell.textContent = text;
    row.append(cell);
  };
  heading(head, words.time, "col", true);
  days.forEach((day) => heading(head, day.short, "col", false));
  const body = table.createTBody();
  for (let r = 0; r < ROWS; r += 1) {
    const row = body.insertRow();
    heading(row, r % 4 ? clock(r * STEP) : two(r / 2), "row", r % 4 !== 0);
    days.forEach((day, n) => {
      const cell = row.insertCell();
      cell.setAttribute("role", "gridcell");
      cell.dataset.at = String(n * DAY + r * STEP);
      cell.tabIndex = -1;
      cells.push(cell);
    });
  }
  const cellAt = (row, day) => cells[row * 7 + day];
  const name = (at) => `${days[Math.floor(at / DAY)].name} ${clock(at % DAY)}\u2013${clock((at % DAY) + STEP)}`;
  const mirror = (open) => {
    for (const cell of cells) {
      const at = Number(cell.dataset.at);
      const share = open.reduce((sum, [a, b]) => sum + Math.max(0, Math.min(b, at + STEP) - Math.max(a, at)), 0);
      const state = share === STEP ? "open" : share ? "part" : "closed";
      if (cell.className === state) continue;
      cell.className = state;
      cell.setAttribute("aria-selected", String(state !== "closed"));
      cell.setAttribute("aria-label", `${name(at)}, ${words[state]}`);
    }
  };
  const said = document.getElementById("painted");
  const set = (cell, wanted) => {
    const at = Number(cell.dataset.at), day = days[Math.floor(at / DAY)];
    if (around.checked) { said.textContent = words.around; return; }
    if (day.on.checked && read(day.text.value) === null) { said.textContent = words.unread.replace("{}", day.name); return; }
    const open = week();
    const after = wanted
      ? merged([...open, [at, at + STEP]])
      : merged(open.flatMap(([a, b]) => [[a, Math.min(b, at)], [Math.max(a, at + STEP), b]]));
    const before = texts(open), now = texts(after);
    days.forEach((one, n) => {
      if (now[n] === before[n]) return; // a text that says the same stays as it was typed
      one.text.value = now[n];
      one.on.checked = now[n] !== "";
    });
    said.textContent = `${name(at)}: ${wanted ? words.open : words.closed}`;
    show();
  };
  let active = cellAt(18, 0); // Monday 9:00
  const focus = (cell) => {
    active.tabIndex = -1;
    active = cell;
    active.tabIndex = 0;
    active.focus();
  };
  active.tabIndex = 0;
  if (editable) {
    let brush = null;
    table.addEventListener("pointerdown", (event) => {
      const cell = event.target.closest("td");
      if (!cell || event.button !== 0) return;
      event.preventDefault();
      brush = cell.className !== "open";
      focus(cell);
      set(cell, brush);
    });
    table.addEventListener("pointerover", (event) => {
      const cell = event.target.closest("td");
      if (cell && brush !== null && event.pointerType !== "touch") set(cell, brush);
    });
    addEventListener("pointerup", () => { brush = null; });
    addEventListener("pointercancel", () => { brush = null; });
  }
  table.addEventListener("keydown", (event) => {
    if (!event.target.closest("td") || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = cells.indexOf(active), row = Math.floor(at / 7), day = at % 7;
    const moves = { ArrowUp: [row - 1, day], ArrowDown: [row + 1, day], ArrowLeft: [row, day - 1], ArrowRight: [row, day + 1], Home: [0, day], End: [ROWS - 1, day] };
    if (event.key === " ") {
      event.preventDefault();
      if (editable) set(active, active.className !== "open");
    } else if (moves[event.key]) {
      event.preventDefault();
      const [r, d] = moves[event.key], wanted = active.className === "open";
      if (r < 0 || r >= ROWS || d < 0 || d > 6) return;
      focus(cellAt(r, d));
      if (event.shiftKey && editable) set(active, wanted);
    }
  });
  paint.append(table);
  paint.hidden = false;
  document.getElementById("drawn").hidden = true;
  document.getElementById("paint-help").hidden = !editable;

  // --- typing, copying, the zone ---------------------------------------------------------------------------------------
  days.forEach((day) => {
    day.text.addEventListener("input", () => { if (day.text.value.trim()) day.on.checked = true; show(); });
    day.on.addEventListener("change", show);
  });
  around.addEventListener("change", show);
  for (const button of document.querySelectorAll("button[name=copy]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      const [from, to] = button.value.split(":");
      const source = days.find((day) => day.row.dataset.day === from);
      days.forEach((day, n) => {
        if (day === source || (to !== "all" && to !== day.row.dataset.day && !(to === "weekdays" && n < 5))) return;
        day.text.value = source.text.value;
        day.on.checked = true;
      });
      const menu = button.closest("details");
      menu.open = false;
      menu.querySelector("summary").focus();
      show();
    });
  }
  const zone = document.getElementById("f-time_zone"), there = document.getElementById("there");
  zone.addEventListener("input", () => {
    try {
      const time = new Intl.DateTimeFormat("en-GB", { timeZone: zone.value.trim(), hour: "2-digit", minute: "2-digit" }).format(new Date());
      there.textContent = there.dataset.words.replace("{}", time);
    } catch {
      there.textContent = "";
    }
  });
  show();
})();
