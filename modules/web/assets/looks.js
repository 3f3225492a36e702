/* Light and dark: as the system says, until the toggle says otherwise. Gradio paints dark under `body.dark`. */

const darkSystem = matchMedia("(prefers-color-scheme: dark)");

const looks = {
  dark() {
    const chosen = memory.get("look", "");
    return chosen ? chosen === "dark" : darkSystem.matches;
  },
  apply() {
    document.body.classList.toggle("dark", looks.dark());
    tell("looks");
  },
  toggle() {
    const wanted = looks.dark() ? "light" : "dark";
    memory.set("look", (wanted === "dark") === darkSystem.matches ? "" : wanted);
    looks.apply();
    announce(wanted === "dark" ? "Dark." : "Light.");
  },
};

looks.apply();
/* Gradio has a listener of its own for the same change and sets the class by the system alone; ours has the last word. */
darkSystem.addEventListener("change", () => setTimeout(looks.apply));
