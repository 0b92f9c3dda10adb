"use strict";
(() => {
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search);
  const kept = (name) => { try { return localStorage.getItem("anxin-report-" + name); } catch { return null; } };
  const keep = (name, value) => { try { localStorage.setItem("anxin-report-" + name, value); } catch { /* a file opened from disk may have no store */ } };

  const setLanguage = (language) => {
    root.classList.toggle("en", language === "en");
    root.lang = language === "en" ? "en" : "zh-CN";
    for (const one of document.querySelectorAll("[data-label-zh]")) {
      const label = one.dataset[language === "en" ? "labelEn" : "labelZh"];
      if (one.tagName === "OPTION") one.textContent = label;
      else if (one.tagName === "TITLE") document.title = label;
      else if ("placeholder" in one) one.placeholder = label;
      else one.setAttribute("aria-label", label);
    }
  };
  const setTheme = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  root.classList.add("js");
  const language = asked.get("lang") || kept("lang") || "zh";
  root.classList.toggle("en", language === "en");
  setTheme(asked.get("theme") || kept("theme"));

  document.addEventListener("DOMContentLoaded", () => {
    const byId = (id) => document.getElementById(id);
    setLanguage(language);
    byId("language").addEventListener("click", () => {
      const next = root.classList.contains("en") ? "zh" : "en";
      setLanguage(next);
      keep("lang", next);
    });
    byId("theme").addEventListener("click", () => {
      const next = isDark() ? "light" : "dark";
      setTheme(next);
      keep("theme", next);
    });
    byId("print").addEventListener("click", () => print());

    const cases = [...document.querySelectorAll(".case")];
    const search = byId("search");
    const choices = [...document.querySelectorAll(".filters select")];
    // The words of every case, read once and only when somebody searches.
    let texts = null;
    const apply = () => {
      const wanted = search ? search.value.trim().toLowerCase().split(/\s+/).filter(Boolean) : [];
      if (wanted.length && !texts) texts = cases.map((one) => one.textContent.toLowerCase());
      let shown = 0;
      cases.forEach((one, i) => {
        const fits = choices.every((c) => !c.value || one.dataset[c.name].split(" ").includes(c.value))
          && wanted.every((w) => texts[i].includes(w));
        one.hidden = !fits;
        shown += fits;
      });
      for (const one of document.querySelectorAll(".shown-count")) one.textContent = shown.toLocaleString("en-US");
      byId("none-fit").hidden = shown > 0;
    };
    if (search) {
      search.addEventListener("input", apply);
      for (const one of choices) one.addEventListener("change", apply);
      byId("clear").addEventListener("click", () => {
        search.value = "";
        for (const one of choices) one.value = "";
        apply();
        search.focus();
      });
      const all = (open) => { for (const one of cases) if (!one.hidden) one.open = open; };
      byId("open-all").addEventListener("click", () => all(true));
      byId("close-all").addEventListener("click", () => all(false));
      document.addEventListener("keydown", (event) => {
        if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) {
          event.preventDefault();
          search.focus();
        }
      });
      // A rule's or an operator's row leads to its cases.
      for (const link of document.querySelectorAll("a[data-choose]")) link.addEventListener("click", () => {
        for (const one of choices) one.value = one.name === link.dataset.choose ? link.dataset.value : "";
        search.value = "";
        apply();
      });
    }
    const openNamed = () => {
      const named = location.hash.length > 1 && byId(location.hash.slice(1));
      if (named && named.classList.contains("case")) { named.hidden = false; named.open = true; named.scrollIntoView(); }
    };
    addEventListener("hashchange", openNamed);
    openNamed();

    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll("details:not([open]):not(.screen-table)")];
      for (const one of closed) one.open = true;
    });
    addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
  });
})();
