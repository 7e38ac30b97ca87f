// Saves text as a file. The window has no access to files, so this is the browser's own download, which asks where to.

export function saveText(name: string, text: string): Promise<void> {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser reads the blob after the click; the address can go once it has begun.
  return new Promise((resolve) => {
    setTimeout(() => {
      URL.revokeObjectURL(address);
      resolve();
    }, 10_000);
  });
}
