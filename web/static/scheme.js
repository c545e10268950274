// Before anything is painted: the colours that somebody has chosen here before. Its twin is islands/PageFoot.tsx.
try {
  const chosen = localStorage.getItem("colours");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: the system's colours.
}
