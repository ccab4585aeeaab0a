// Comfort only: every page works without this. Refreshes fragments, ticks what is left, puts the focus on the list of problems.
(() => {
  const problems = document.getElementById("problems");
  if (problems) problems.focus();

  // --- what is left --------------------------------------------------------------------------------------------------
  const words = (seconds) => {
    const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60), rest = seconds % 60;
    const two = (n) => String(n).padStart(2, "0");
    if (hours) return `${hours}\u00a0h${minutes ? `\u00a0${two(minutes)}\u00a0m` : ""} left`;
    if (minutes) return `${minutes}\u00a0m${rest ? `\u00a0${two(rest)}\u00a0s` : ""} left`;
    return seconds > 0 ? `${seconds}\u00a0s left` : "due now";
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

  // --- fragments -----------------------------------------------------------------------------------------------------
  const fragment = document.querySelector("[data-fragment]");
  const live = document.getElementById("live");
  if (!fragment || !live) return;
  live.hidden = false;
  const busy = () =>
    fragment.contains(document.activeElement) || fragment.matches(":hover") && fragment.querySelector("button:hover, a:hover, details[open] input") !== null;
  const name = fragment.dataset.fragment;
  const refresh = async () => {
    if (document.hidden || busy()) return;
    try {
      const answer = await fetch(location.href, { headers: { "X-Fragment": name }, credentials: "same-origin" });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
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
      live.textContent = `Updated ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })}`;
      live.classList.remove("stale");
    } catch {
      live.textContent = "Not live: reload";
      live.classList.add("stale");
    }
  };
  const again = () => setTimeout(async () => { await refresh(); again(); }, 1000 * Number(fragment.dataset.poll || 30));
  again();
})();
