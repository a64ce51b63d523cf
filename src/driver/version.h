/* The driver's own version: OID_GEN_VENDOR_DRIVER_VERSION, registration, resources. */
#pragma once

#define WYRM_VERSION_MAJOR 0
#define WYRM_VERSION_MINOR 1
