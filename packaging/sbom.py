"""The software bill of materials: SPDX 2.3 as JSON, of the files of a package and of what went into them."""
import hashlib
import json
import uuid

from installer import NAMESPACE

# What is compiled in that is not of this repository, and the tools, with Debian's package names.
PARTS = (("librust-ring-dev", "fiat-crypto: field arithmetic of Curve25519, generated headers, from this package", "MIT",
          "CONTAINS"),)
TOOLS = ("clang-19", "lld-19", "llvm-19", "cmake", "ninja-build", "osslsigncode", "wixl", "mingw-w64-common", "python3")


def make_sbom(product, version, architecture, files, created, versions):
    """files: {path in the package: bytes}; created: a time in ISO 8601; versions: {Debian package: version or None}"""
    name = f"{product}-{version}-{architecture}"
    sha1s = sorted(hashlib.sha1(data).hexdigest() for data in files.values())
    packages = [{
        "SPDXID": "SPDXRef-Package", "name": product, "versionInfo": version, "downloadLocation": "NOASSERTION",
        "filesAnalyzed": True, "licenseConcluded": "MIT OR GPL-2.0-only", "licenseDeclared": "MIT OR GPL-2.0-only",
        "copyrightText": "NOASSERTION", "primaryPackagePurpose": "INSTALL",
        "packageVerificationCode": {"packageVerificationCodeValue": hashlib.sha1("".join(sha1s).encode()).hexdigest()},
    }]
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                  "relatedSpdxElement": "SPDXRef-Package"}]
    for package, comment, licence, relation in PARTS + tuple((tool, "build tool", "NOASSERTION", "BUILD_TOOL_OF")
                                                             for tool in TOOLS):
        identifier = "SPDXRef-Debian-" + package
        found = versions.get(package)
        packages.append({
            "SPDXID": identifier, "name": package, **({"versionInfo": found} if found else {}),
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": licence,
            "licenseDeclared": licence, "copyrightText": "NOASSERTION", "comment": comment,
            **({"externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                  "referenceLocator": f"pkg:deb/debian/{package}@{found}"}]} if found else {}),
        })
        ends = (identifier, "SPDXRef-Package") if relation.endswith("_OF") else ("SPDXRef-Package", identifier)
        relations.append({"spdxElementId": ends[0], "relationshipType": relation, "relatedSpdxElement": ends[1]})
    entries = []
    for i, (path, data) in enumerate(sorted(files.items())):
        entries.append({
            "SPDXID": f"SPDXRef-File-{i}", "fileName": "./" + path, "licenseConcluded": "MIT OR GPL-2.0-only",
            "copyrightText": "NOASSERTION",
            "checksums": [{"algorithm": kind.upper(), "checksumValue": hashlib.new(kind, data).hexdigest()}
                          for kind in ("sha1", "sha256")],
        })
        relations.append({"spdxElementId": "SPDXRef-Package", "relationshipType": "CONTAINS",
                          "relatedSpdxElement": f"SPDXRef-File-{i}"})
    contents = "".join(sha1s) + created
    return json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{uuid.uuid5(NAMESPACE, contents)}".replace(" ", "-"),
        "creationInfo": {"created": created, "creators": ["Tool: wyrm-package"]},
        "packages": packages, "files": entries, "relationships": relations,
    }, indent=1).encode() + b"\n"
