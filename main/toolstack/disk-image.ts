// Disk images of more than plain bytes, for whoever opens the files of a domain (the engine).

export { createQcow2, type ImageFile, qcow2Backing, Qcow2Error, Qcow2Image } from '../backends/block/qcow2.ts';
