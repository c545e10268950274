/** True for a host name or address that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The host that a `Host` header names, without its port. */
export function hostNameIn(header: string | undefined): string {
  return (header ?? "").replace(/:\d+$/, "");
}
