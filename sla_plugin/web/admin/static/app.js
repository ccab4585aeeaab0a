// Comfort only: every page works without this. Refreshes fragments, ticks what is left, puts the focus on the list of problems.
(() => {
  const problems = document.getElementById("problems");
  if (problems) problems.focus();

  // --- what is left --------------------------------------------------------------------------------------------------
  const said = document.body.dataset; // the words of the reader's language
  const [hour, minute, second] = said.wordsUnits.split(" ");
  const words = (seconds) => {
    const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60), rest = seconds % 60;
    const two = (n) => String(n).padStart(2, "0");
    if (seconds <= 0) return said.wordsDue;
    const time = hours ? [hours, hour, ...(minutes ? [two(minutes), minute] : [])] : minutes ? [minutes, minute, ...(rest ? [two(rest), second] : [])] : [seconds, second];
    return said.wordsLeft.replace("%s", time.join("\u00a0"));
  };
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const loaded = performance.now();
  const tick = () => {
    const passed = Math.floor((performance.now() - loaded) / 1000);
    for (const text of document.querySelectorAll("[data-left]")) {
      const began = Number(text.dataset.began || 0);
      const since = passed - began, left = Number(text.dataset.left) - since;
      if (Number(text.dataset.now) + since >= Number(text.dataset.until) || left < 0) continue; // only the server knows
      if (left >= 300 && left % 60 && since) continue;
      if (still && left % 60) continue;
      text.textContent = words(left);
    }
  };
  setInterval(tick, 1000);

  // --- keys: only outside of fields, and not where somebody turned them off ------------------------------------------
  const rows = () => [...document.querySelectorAll("main .rows tbody tr, main .alert-row")];
  const linkOf = (row) => row.querySelector(".first a, a");
  const here = () => rows().findIndex((row) => row.contains(document.activeElement));
  let going = 0; // when g was pressed
  const step = (by) => {
    const all = rows(), next = all[Math.min(Math.max(here() + by, 0), all.length - 1)];
    if (next) linkOf(next)?.focus();
  };
  const ACTS = { a: 'form[action$="/acknowledge"] button', r: 'form[action$="/replay"] button', n: ".head .btn-primary", "?": ".topbar .help-link" };
  const act = (key) => {
    const row = rows()[here()];
    const target = row?.querySelector(ACTS[key]) ?? [...document.querySelectorAll(ACTS[key])].find((one) => !one.closest(".rows, .alert-row"));
    target?.click();
    return Boolean(target);
  };
  if (document.documentElement.dataset.keys !== "off") document.addEventListener("keydown", (press) => {
    if (press.ctrlKey || press.metaKey || press.altKey || press.target.closest("input, textarea, select, [contenteditable]")) return;
    const follows = going > 0 && press.timeStamp - going < 1500;
    going = 0;
    if (follows) {
      const link = document.querySelector(`[data-go="${CSS.escape(press.key)}"]`);
      if (link) { press.preventDefault(); link.click(); }
    } else if (press.key === "g") going = press.timeStamp;
    else if (press.key === "/") { const field = document.getElementById("search"); if (field) { press.preventDefault(); field.focus(); field.select(); } }
    else if (press.key === "j") step(1);
    else if (press.key === "k") step(-1);
    else if (press.key in ACTS && act(press.key)) press.preventDefault();
  });

  // --- fragments -----------------------------------------------------------------------------------------------------
  const fragment = document.querySelector("[data-fragment]");
  const live = document.getElementById("live");
  if (!fragment || !live || live.dataset.live !== "on") return;
  live.textContent = live.dataset.wordLive;
  const busy = () =>
    fragment.contains(document.activeElement) || fragment.matches(":hover") && fragment.querySelector("button:hover, a:hover, details[open] input") !== null;
  const name = fragment.dataset.fragment;
  const refresh = async () => {
    if (document.hidden || busy()) return;
    try {
      const answer = await fetch(location.href, { headers: { "X-Fragment": name }, credentials: "same-origin" });
      if (answer.redirected) return location.reload(); // signed out meanwhile: nothing stays on the screen
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector(`[data-fragment="${name}"]`);
      if (!fresh || busy()) return;
      const open = [...fragment.querySelectorAll("details")].map((d) => d.open);
      [...fresh.querySelectorAll("details")].forEach((d, n) => { if (n < open.length) d.open = open[n]; });
      const began = Math.floor((performance.now() - loaded) / 1000);
      fresh.querySelectorAll("[data-left]").forEach((text) => { text.dataset.began = began; });
      fragment.replaceChildren(...fresh.childNodes);
      fragment.dataset.poll = fresh.dataset.poll;
      document.title = page.title;
      live.textContent = `${live.dataset.wordUpdated} ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })}`;
      live.classList.remove("stale");
    } catch {
      live.textContent = live.dataset.wordStale;
      live.classList.add("stale");
    }
  };
  const again = () => setTimeout(async () => { await refresh(); again(); }, 1000 * Number(fragment.dataset.poll || 30));
  again();
})();
