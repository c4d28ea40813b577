// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    ANCHOR_TYPEHASH,
    Anchor,
    BASKET_TYPEHASH,
    Basket,
    GATE_TYPEHASH,
    LINE_TYPEHASH,
    Line,
    MANDATE_TYPEHASH,
    Mandate,
    ORDER_TYPEHASH,
    Order,
    POST_TYPEHASH,
    Post,
    READING_TYPEHASH,
    RECEIPT_TYPEHASH,
    Reading,
    Receipt,
    STATEMENT_TYPEHASH,
    Statement,
    TRADE_TYPEHASH,
    Trade
} from "./Records.sol";

// EIP-712 `hashStruct` of the records. Where every field is one static word, the struct's ABI encoding is its EIP-712
// encoding.

function hashPost(Post memory post) pure returns (bytes32) {
    return keccak256(abi.encode(POST_TYPEHASH, post));
}

function hashAnchor(Anchor memory period) pure returns (bytes32) {
    return keccak256(abi.encode(ANCHOR_TYPEHASH, period));
}

function hashStatement(Statement calldata statement) pure returns (bytes32) {
    return keccak256(abi.encode(STATEMENT_TYPEHASH, statement));
}

function hashLine(Line calldata line) pure returns (bytes32) {
    return keccak256(abi.encode(LINE_TYPEHASH, line));
}

function hashTrade(Trade calldata trade) pure returns (bytes32) {
    return keccak256(abi.encode(TRADE_TYPEHASH, trade));
}

/// @dev A text is hashed for itself.
function hashOrder(Order calldata order) pure returns (bytes32) {
    bytes memory who = abi.encode(ORDER_TYPEHASH, order.member, keccak256(bytes(order.text)));
    return
        keccak256(
            bytes.concat(who, abi.encode(order.side, order.wh, order.limit, order.slot, order.expiry, order.nonce))
        );
}

function hashBasket(Basket memory basket) pure returns (bytes32) {
    return keccak256(abi.encode(BASKET_TYPEHASH, basket));
}

function hashReading(Reading calldata reading) pure returns (bytes32) {
    return keccak256(abi.encode(READING_TYPEHASH, reading));
}

function hashReceipt(Receipt calldata receipt) pure returns (bytes32) {
    return keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
}

/// @dev A text is hashed for itself. Two parts, because the stack cannot hold all fields at once.
function hashMandate(Mandate calldata mandate) pure returns (bytes32) {
    bytes memory who = abi.encode(MANDATE_TYPEHASH, mandate.member, mandate.agent, keccak256(bytes(mandate.text)));
    bytes memory what = abi.encode(
        mandate.maxBuy,
        mandate.minSell,
        mandate.buyWh,
        mandate.sellWh,
        mandate.validFrom,
        mandate.validUntil,
        mandate.nonce
    );
    return keccak256(bytes.concat(who, what));
}

/// @notice The `Gate` of consecutive slots.
/// @param orders root of the orders of each slot
/// @param trades root of the trades of each slot
function hashGate(uint64 firstSlot, bytes32[] calldata orders, bytes32[] calldata trades) pure returns (bytes32) {
    return keccak256(
        abi.encode(GATE_TYPEHASH, firstSlot, keccak256(abi.encodePacked(orders)), keccak256(abi.encodePacked(trades)))
    );
}

/// @notice What binds a settlement to the orders and trades of a slot.
/// @param orders root of the orders
/// @param trades root of the trades
function commitmentOf(bytes32 orders, bytes32 trades) pure returns (bytes32) {
    return keccak256(abi.encode(orders, trades));
}
