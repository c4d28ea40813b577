// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

struct Mandate {
    address member;
    address agent;
    string text;
    uint64 maxBuy;
    uint64 minSell;
    uint64 buyWh;
    uint64 sellWh;
    uint64 validFrom;
    uint64 validUntil;
    uint64 nonce;
}

bytes32 constant MANDATE_TYPEHASH = keccak256("Mandate(address member,address agent,string text,uint64 maxBuy,uint64 minSell,uint64 buyWh,uint64 sellWh,uint64 validFrom,uint64 validUntil,uint64 nonce)");

struct Order {
    address member;
    uint8 side;
    uint64 wh;
    uint64 limit;
    uint64 slot;
    uint64 expiry;
    uint64 nonce;
}

bytes32 constant ORDER_TYPEHASH = keccak256("Order(address member,uint8 side,uint64 wh,uint64 limit,uint64 slot,uint64 expiry,uint64 nonce)");

struct Reading {
    address meter;
    uint64 slot;
    uint64 whIn;
    uint64 whOut;
    uint64 sequence;
}

bytes32 constant READING_TYPEHASH = keccak256("Reading(address meter,uint64 slot,uint64 whIn,uint64 whOut,uint64 sequence)");

struct Trade {
    uint64 slot;
    uint32 revision;
    uint32 number;
    uint32 buyer;
    uint32 seller;
    uint64 wh;
    uint64 price;
    bytes32 buyOrder;
    bytes32 sellOrder;
}

bytes32 constant TRADE_TYPEHASH = keccak256("Trade(uint64 slot,uint32 revision,uint32 number,uint32 buyer,uint32 seller,uint64 wh,uint64 price,bytes32 buyOrder,bytes32 sellOrder)");

struct Statement {
    uint64 slot;
    uint32 revision;
    uint32 member;
    uint32 index;
    int64 wh;
    int64 money;
    bytes32 trade;
    bytes32 order;
    bytes32 reading;
}

bytes32 constant STATEMENT_TYPEHASH = keccak256("Statement(uint64 slot,uint32 revision,uint32 member,uint32 index,int64 wh,int64 money,bytes32 trade,bytes32 order,bytes32 reading)");

struct Post {
    uint64 slot;
    uint32 revision;
    bytes32 orders;
    bytes32 readings;
    bytes32 statements;
    bytes32 deltas;
}

bytes32 constant POST_TYPEHASH = keccak256("Post(uint64 slot,uint32 revision,bytes32 orders,bytes32 readings,bytes32 statements,bytes32 deltas)");
