// Before the first paint: resolve the theme "auto"; tell the server this browser's zone.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const resolve = () => {
    if (root.dataset.theme === "auto") root.dataset.bsTheme = dark.matches ? "dark" : "light";
  };
  resolve();
  dark.addEventListener("change", resolve);
  let seen = root.dataset.bsTheme; // paper is light
  addEventListener("beforeprint", () => { seen = root.dataset.bsTheme; root.dataset.bsTheme = "light"; });
  addEventListener("afterprint", () => { root.dataset.bsTheme = seen; });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const name = root.dataset.zoneCookie; // __Host-… where people come by https: a browser keeps that only with `secure`
  if (zone && !document.cookie.includes(`${name}=`)) {
    document.cookie = `${name}=${zone}; path=/; max-age=31536000; samesite=lax${name.startsWith("__Host-") ? "; secure" : ""}`;
  }
})();
