/* Every name at run time that two products on one machine must not share.  A vendor who embeds the DLL sets
 * them all with one option of the build (cmake -DWYRM_VENDOR_NAME=Name, a C identifier of at most 9 letters):
 * enumerator, hardware ID, name property, locks and files follow from it.  With the reference's name as the
 * vendor's they are the reference's, so that programs which look for its adapters find ours. */
#pragma once

#ifndef WYRM_VENDOR_NAME
#define WYRM_VENDOR_NAME "Wyrm"
#endif
/* The same in lower case: service, driver, INF. */
#ifndef WYRM_VENDOR_FILE
#define WYRM_VENDOR_FILE "wyrm"
#endif

/* A narrow literal behind an empty wide one is wide. */
#define VENDOR_NAME L"" WYRM_VENDOR_NAME
#define VENDOR_FILE L"" WYRM_VENDOR_FILE

#define ENUMERATOR      VENDOR_NAME
#define HARDWARE_ID     VENDOR_NAME
#define INSTANCE_PREFIX L"SWD\\" VENDOR_NAME L"\\"
#define SERVICE_NAME    VENDOR_NAME
#define INF_FILE        VENDOR_FILE L".inf"
#define CATALOGUE_FILE  VENDOR_FILE L".cat"
#define DRIVER_FILE     VENDOR_FILE L".sys"
