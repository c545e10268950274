import type { Page } from "playwright-core";

/** What a person does on the live page, from the first click to the mail, whichever log and mailer stand behind it. */

export const PROMPT = "call me at +44 7911 123456 or ada@example.org";
/** The prompt as the dataset has it. */
export const SANITISED_PROMPT = "call me at <PHONE_NUMBER> or <EMAIL_ADDRESS>";

export const click = (page: Page, name: string) => page.getByRole("button", { name, exact: true }).click();

export async function identify(page: Page, address: string): Promise<void> {
  await page.getByLabel("E-mail").fill(address);
  await page.getByLabel("E-mail").press("Enter");
}

/** Fails a generation, and waits until the page shows its prompt as the line has it. */
export async function failGeneration(page: Page): Promise<void> {
  await page.getByLabel("Prompt").fill(PROMPT);
  await page.getByLabel("Failure reason").fill("timeout");
  await click(page, "Simulate Generation Failure");
  await page.getByText(SANITISED_PROMPT).first().waitFor();
}

/** Uses the feature, each use counted before the next. */
export async function useTimes(page: Page, times: number): Promise<void> {
  for (let i = 1; i <= times; i++) {
    await click(page, "Simulate Feature Usage");
    await page.getByText(`counted ${i} of ${times}`).first().waitFor();
  }
}

/** Waits until the page leads to the mail; answers its Message-ID. */
export async function untilMailed(page: Page): Promise<string> {
  const link = page.getByRole("link", { name: "Open the mail" });
  await link.waitFor();
  return decodeURIComponent((await link.getAttribute("href"))!.replace("/mail/", ""));
}
