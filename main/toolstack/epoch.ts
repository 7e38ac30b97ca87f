// The time of day at lab time 0, the same in every lab so that runs repeat: 2026-01-01 00:00:00 UTC.

export const EPOCH_SECONDS = 1_767_225_600;
