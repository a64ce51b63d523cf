//! Makes an adapter, configures it, brings it up and reads its configuration back.  Run it as an elevated administrator
//! with wyrm.dll beside it.  Rust 1.60 or later, no crate: rustc sample.rs
//! Names are those of include/wyrm/wireguard.h, whose documentation holds here too.
#![allow(non_camel_case_types, non_snake_case, clippy::upper_case_acronyms)]

use std::ffi::{c_void, CString};
use std::io::Error;
use std::mem::{size_of, transmute_copy};

const WIREGUARD_KEY_LENGTH: usize = 32;
const WIREGUARD_ADAPTER_STATE_UP: i32 = 1;
const WIREGUARD_INTERFACE_HAS_PRIVATE_KEY: u32 = 1 << 1;
const WIREGUARD_INTERFACE_HAS_LISTEN_PORT: u32 = 1 << 2;
const WIREGUARD_INTERFACE_REPLACE_PEERS: u32 = 1 << 3;
const WIREGUARD_PEER_HAS_PUBLIC_KEY: u32 = 1 << 0;
const WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE: u32 = 1 << 2;
const WIREGUARD_PEER_HAS_ENDPOINT: u32 = 1 << 3;
const WIREGUARD_PEER_REPLACE_ALLOWED_IPS: u32 = 1 << 5;
const AF_INET: u16 = 2;
const PORT: u16 = 51820;
const LOAD_LIBRARY_SEARCH_APPLICATION_DIR: u32 = 0x200;
const LOAD_LIBRARY_SEARCH_SYSTEM32: u32 = 0x800;
const BCRYPT_USE_SYSTEM_PREFERRED_RNG: u32 = 2;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SOCKADDR_INET {
    si_family: u16,
    Port: u16,
    Rest: [u32; 6],
}

#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
struct WIREGUARD_INTERFACE {
    Flags: u32,
    ListenPort: u16,
    PrivateKey: [u8; WIREGUARD_KEY_LENGTH],
    PublicKey: [u8; WIREGUARD_KEY_LENGTH],
    PeersCount: u32,
}

#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
struct WIREGUARD_PEER {
    Flags: u32,
    Reserved: u32,
    PublicKey: [u8; WIREGUARD_KEY_LENGTH],
    PresharedKey: [u8; WIREGUARD_KEY_LENGTH],
    PersistentKeepalive: u16,
    Endpoint: SOCKADDR_INET,
    TxBytes: u64,
    RxBytes: u64,
    LastHandshake: u64,
    AllowedIPsCount: u32,
}

#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
struct WIREGUARD_ALLOWED_IP {
    Address: [u8; 16],
    AddressFamily: u16,
    Cidr: u8,
    Flags: u32,
}

const _: () = assert!(size_of::<WIREGUARD_INTERFACE>() == 80);
const _: () = assert!(size_of::<WIREGUARD_PEER>() == 136);
const _: () = assert!(size_of::<WIREGUARD_ALLOWED_IP>() == 24);

type Handle = *mut c_void;
type CreateAdapter = unsafe extern "system" fn(*const u16, *const u16, *const c_void) -> Handle;
type CloseAdapter = unsafe extern "system" fn(Handle);
type SetAdapterState = unsafe extern "system" fn(Handle, i32) -> i32;
type SetConfiguration = unsafe extern "system" fn(Handle, *const c_void, u32) -> i32;
type GetConfiguration = unsafe extern "system" fn(Handle, *mut c_void, *mut u32) -> i32;

#[cfg_attr(windows, link(name = "kernel32"))]
extern "system" {
    fn LoadLibraryExW(name: *const u16, file: Handle, flags: u32) -> Handle;
    fn GetProcAddress(module: Handle, name: *const i8) -> *const c_void;
}
#[cfg_attr(windows, link(name = "bcrypt"))]
extern "system" {
    fn BCryptGenRandom(algorithm: Handle, buffer: *mut u8, bytes: u32, flags: u32) -> i32;
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain(Some(0)).collect()
}

/// The DLL's functions that this sample uses.
struct Library {
    create: CreateAdapter,
    close: CloseAdapter,
    set_state: SetAdapterState,
    set: SetConfiguration,
    get: GetConfiguration,
}

impl Library {
    fn load() -> Result<Library, Error> {
        let name = wide("wyrm.dll");
        let flags = LOAD_LIBRARY_SEARCH_APPLICATION_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32;
        // SAFETY: the name ends with a zero.
        let module = unsafe { LoadLibraryExW(name.as_ptr(), std::ptr::null_mut(), flags) };
        if module.is_null() {
            return Err(Error::last_os_error());
        }
        // SAFETY: each function has the type that the header says.
        unsafe {
            Ok(Library {
                create: look_up(module, "WireGuardCreateAdapter")?,
                close: look_up(module, "WireGuardCloseAdapter")?,
                set_state: look_up(module, "WireGuardSetAdapterState")?,
                set: look_up(module, "WireGuardSetConfiguration")?,
                get: look_up(module, "WireGuardGetConfiguration")?,
            })
        }
    }
}

unsafe fn look_up<F>(module: Handle, name: &str) -> Result<F, Error> {
    let name = CString::new(name)?;
    let address = GetProcAddress(module, name.as_ptr().cast());
    if address.is_null() {
        return Err(Error::last_os_error());
    }
    Ok(transmute_copy(&address))
}

/// An adapter that lives as long as this value.
struct Adapter<'a> {
    library: &'a Library,
    handle: Handle,
}

impl<'a> Adapter<'a> {
    fn create(library: &'a Library, name: &str) -> Result<Adapter<'a>, Error> {
        // SAFETY: both texts end with a zero; no GUID is asked for.
        let handle = unsafe { (library.create)(wide(name).as_ptr(), wide("Sample").as_ptr(), std::ptr::null()) };
        if handle.is_null() {
            return Err(Error::last_os_error());
        }
        Ok(Adapter { library, handle })
    }

    fn configure(&self) -> Result<(), Error> {
        let (config, peer, allowed) = configuration()?;
        let mut buffer = Buffer::default();
        buffer.add(&config);
        buffer.add(&peer);
        buffer.add(&allowed);
        // SAFETY: the buffer holds so many bytes and is aligned to 8.
        check(unsafe { (self.library.set)(self.handle, buffer.words.as_ptr().cast(), buffer.bytes as u32) })
    }

    fn up(&self) -> Result<(), Error> {
        // SAFETY: the handle is open.
        check(unsafe { (self.library.set_state)(self.handle, WIREGUARD_ADAPTER_STATE_UP) })
    }

    fn read(&self) -> Result<Buffer, Error> {
        let mut buffer = Buffer { words: vec![0; 8192], bytes: 0 };
        let mut bytes = (buffer.words.len() * 8) as u32;
        // SAFETY: the buffer has room for `bytes` bytes and is aligned to 8.  ERROR_MORE_DATA: again with `bytes` bytes.
        check(unsafe { (self.library.get)(self.handle, buffer.words.as_mut_ptr().cast(), &mut bytes) })?;
        buffer.bytes = bytes as usize;
        Ok(buffer)
    }
}

impl Drop for Adapter<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is open and nobody uses it any more.
        unsafe { (self.library.close)(self.handle) }
    }
}

fn check(success: i32) -> Result<(), Error> {
    if success == 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

/// A configuration, aligned to 8 bytes: structures behind each other without gaps.
#[derive(Default)]
struct Buffer {
    words: Vec<u64>,
    bytes: usize,
}

impl Buffer {
    /// Every structure is a multiple of 8 bytes long and made of integers.
    fn add<T: Copy>(&mut self, structure: &T) {
        let at = self.bytes / 8;
        self.bytes += size_of::<T>();
        self.words.resize(self.bytes / 8, 0);
        // SAFETY: there is room, and words are as aligned as every structure.
        unsafe { self.words.as_mut_ptr().add(at).cast::<T>().write(*structure) }
    }

    fn take<T: Copy>(&self, at: &mut usize) -> Option<T> {
        let end = at.checked_add(size_of::<T>())?;
        if end > self.bytes {
            return None;
        }
        // SAFETY: the structure is within the buffer; any bytes are valid integers.
        let structure = unsafe { self.words.as_ptr().add(*at / 8).cast::<T>().read() };
        *at = end;
        Some(structure)
    }
}

/// An interface with a key of its own and one peer.
fn configuration() -> Result<(WIREGUARD_INTERFACE, WIREGUARD_PEER, WIREGUARD_ALLOWED_IP), Error> {
    let mut config = WIREGUARD_INTERFACE {
        Flags: WIREGUARD_INTERFACE_HAS_PRIVATE_KEY | WIREGUARD_INTERFACE_HAS_LISTEN_PORT | WIREGUARD_INTERFACE_REPLACE_PEERS,
        ListenPort: PORT,
        PeersCount: 1,
        ..Default::default()
    };
    let bytes = config.PrivateKey.len() as u32;
    // SAFETY: the key has room for `bytes` bytes.
    let status = unsafe {
        BCryptGenRandom(std::ptr::null_mut(), config.PrivateKey.as_mut_ptr(), bytes, BCRYPT_USE_SYSTEM_PREFERRED_RNG)
    };
    if status < 0 {
        return Err(Error::new(std::io::ErrorKind::Other, "no random numbers"));
    }
    let mut endpoint = SOCKADDR_INET { si_family: AF_INET, Port: PORT.to_be(), ..Default::default() };
    endpoint.Rest[0] = u32::from_ne_bytes([192, 0, 2, 1]);
    let peer = WIREGUARD_PEER {
        Flags: WIREGUARD_PEER_HAS_PUBLIC_KEY
            | WIREGUARD_PEER_HAS_ENDPOINT
            | WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE
            | WIREGUARD_PEER_REPLACE_ALLOWED_IPS,
        PublicKey: [0x42; WIREGUARD_KEY_LENGTH], // the key that the peer's owner told you
        PersistentKeepalive: 25,
        Endpoint: endpoint,
        AllowedIPsCount: 1,
        ..Default::default()
    };
    let mut allowed = WIREGUARD_ALLOWED_IP { AddressFamily: AF_INET, Cidr: 24, ..Default::default() };
    allowed.Address[..4].copy_from_slice(&[10, 72, 0, 0]);
    Ok((config, peer, allowed))
}

/// None: the buffer is shorter than its counts say.
fn show(buffer: &Buffer) -> Option<()> {
    let mut at = 0;
    let config: WIREGUARD_INTERFACE = buffer.take(&mut at)?;
    println!("port {}, {} peers", config.ListenPort, config.PeersCount);
    for _ in 0..config.PeersCount {
        let peer: WIREGUARD_PEER = buffer.take(&mut at)?;
        println!(
            "peer {:02x}...: keepalive {} s, {} bytes sent, {} received",
            peer.PublicKey[0], peer.PersistentKeepalive, peer.TxBytes, peer.RxBytes
        );
        for _ in 0..peer.AllowedIPsCount {
            let allowed: WIREGUARD_ALLOWED_IP = buffer.take(&mut at)?;
            if allowed.AddressFamily == AF_INET {
                let [a, b, c, d, ..] = allowed.Address;
                println!("  allowed {}.{}.{}.{}/{}", a, b, c, d, allowed.Cidr);
            }
        }
    }
    Some(())
}

fn main() -> Result<(), Error> {
    let library = Library::load()?;
    let adapter = Adapter::create(&library, "Sample")?;
    adapter.configure()?;
    adapter.up()?;
    show(&adapter.read()?).ok_or_else(|| Error::new(std::io::ErrorKind::InvalidData, "a damaged configuration"))
}
