// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ANCHOR_TYPEHASH, Anchor, POST_TYPEHASH, Post} from "./Records.sol";

/// @notice EIP-712 `hashStruct` of a post. Every field is one static word, so the struct's ABI encoding is its
/// EIP-712 encoding.
function hashPost(Post memory post) pure returns (bytes32) {
    return keccak256(abi.encode(POST_TYPEHASH, post));
}

/// @notice EIP-712 `hashStruct` of an anchor, whose fields are static words as well.
function hashAnchor(Anchor memory period) pure returns (bytes32) {
    return keccak256(abi.encode(ANCHOR_TYPEHASH, period));
}
