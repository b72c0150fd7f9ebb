declare module 'virtual:icons' {
  /** Outline, and filled. */
  export const icons: Record<string, [string, string]>
}
