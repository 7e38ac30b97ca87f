// What the files of pv/ share.
#pragma once
#include "xen.h"

#ifdef __x86_64__
#define KERNEL_CS 0xe033
#define USER_CS 0xe033
#define USER_SS 0xe02b
#define USER_DS 0
#define KERNEL_SS 0xe02b
#define M2P_DEFAULT 0xffff800000000000UL
#else
#define KERNEL_CS 0xe019
#define KERNEL_SS 0xe021
#define USER_CS 0xe02b
#define USER_SS 0xe033
#define USER_DS 0xe033
#define M2P_DEFAULT 0xf5800000UL
#endif

extern uptr *p2m;       // machine frame of each page frame
extern const uptr *m2p; // page frame of each of our machine frames

/// Completes the linear map and notes which frames are page tables; returns the first frame that is free.
uptr pv_memory_init(void);
void pv_traps_init(void);
/// Tells the toolstack where p2m lies.
void pv_publish_p2m(void);
