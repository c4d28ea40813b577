// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Consent, Demands} from "../src/Demands.sol";
import {Disputes} from "../src/Disputes.sol";
import {Leaf} from "../src/Judge.sol";
import {
    BASKET_TYPEHASH,
    Basket,
    MANDATE_TYPEHASH,
    Mandate,
    ORDER_TYPEHASH,
    Order,
    Post,
    READING_TYPEHASH,
    Reading,
    STATEMENT_TYPEHASH,
    Statement,
    TRADE_TYPEHASH,
    Trade
} from "../src/Records.sol";
import {Members} from "../src/Members.sol";
import {Base} from "./Base.sol";

/// One slot of four members with real trees and signatures. A test changes what it wants between the steps: `agree`
/// (consents into trades), `book` (trades into statements and deltas), `seal` (roots, commitment and post).
abstract contract Batch is Base {
    uint64 internal constant END = SLOT + SLOT_SECONDS;
    uint32 internal constant SENTINEL = type(uint32).max;
    uint256 internal constant COMMITTED = 3;

    Disputes internal disputes;
    Demands internal demands;
    Order[] internal orders;
    Mandate[] internal mandates;
    Reading[] internal readings;
    Trade[] internal trades;
    /// Energy of each trade that settles [Wh].
    uint64[] internal settled;
    Statement[] internal lines;
    int32[] internal changes;
    bytes internal deltas;
    bytes32 internal tradesRoot;
    bytes32 internal ordersRoot;
    Post internal p;
    /// How many of the trades are committed before delivery.
    uint256 internal committed = COMMITTED;
    /// Levels of other leaves around ours: trees as deep as those of many members.
    uint256 internal more;

    function judges() internal view override returns (address, address) {
        return nextTwo();
    }

    function bond() internal pure override returns (uint64) {
        return 501;
    }

    function memberKey(uint256 member) internal pure returns (uint256) {
        return 0x5000 + member;
    }

    function agentKey(uint256 member) internal pure returns (uint256) {
        return 0x6000 + member;
    }

    function meterKey(uint256 member) internal pure returns (uint256) {
        return 0x7000 + member;
    }

    function setUp() public virtual override {
        super.setUp();
        disputes = new Disputes(settlement);
        demands = new Demands(settlement);
        address[] memory accounts = new address[](4);
        address[] memory meters = new address[](4);
        Members.Role[] memory roles = new Members.Role[](4);
        for (uint64 i = 0; i < 4; ++i) {
            (accounts[i], meters[i]) = (vm.addr(memberKey(i)), vm.addr(meterKey(i)));
            roles[i] = Members.Role.Prosumer;
            bool buys = i < 2;
            orders.push(Order(accounts[i], "", buys ? 0 : 1, 2000, buys ? 250_000 : 100_000, SLOT, SLOT, i));
            mandates.push(
                Mandate(accounts[i], vm.addr(agentKey(i)), "words", 300_000, 50_000, 5000, 5000, 0, SLOT + 1 days, 1)
            );
            readings.push(Reading(meters[i], SLOT, buys ? 3000 : 0, buys ? 0 : 3000, 7));
        }
        vm.prank(operator);
        community.register(accounts, meters, roles);
        placeBonds(10);
        trades.push(Trade(SLOT, 0, 0, 0, 2, 1000, 200_000, 0, 0));
        trades.push(Trade(SLOT, 0, 1, 0, 3, 500, 210_000, 0, 0));
        trades.push(Trade(SLOT, 0, 2, 1, 3, 300, 205_000, 0, 0));
        trades.push(Trade(SLOT, 0, 3, 0, 2, 250, 150_001, 0, 0));
        for (uint256 i = 0; i < 4; ++i) {
            settled.push(trades[i].wh);
        }
        agree();
        book();
    }

    // The steps

    function agree() internal {
        for (uint256 i = 0; i < trades.length; ++i) {
            Trade storage trade = trades[i];
            bool ordered = i < committed;
            trade.buyOrder = ordered ? hashOf(orders[trade.buyer]) : hashOf(mandates[trade.buyer]);
            trade.sellOrder = ordered ? hashOf(orders[trade.seller]) : hashOf(mandates[trade.seller]);
        }
    }

    function book() internal {
        delete lines;
        delete changes;
        for (uint32 member = 0; member < 4; ++member) {
            uint256[] memory own = _sorted(member);
            bytes32 reading = hashOf(readings[member]);
            if (own.length == 0) lines.push(Statement(SLOT, 0, member, 0, 0, 0, 0, 0, reading));
            int64 wh = 0;
            int64 money = 0;
            for (uint32 i = 0; i < own.length; ++i) {
                Trade memory trade = trades[own[i]];
                int64 sign = trade.buyer == member ? int64(1) : int64(-1);
                wh += sign * int64(settled[own[i]]);
                money -= sign * int64(settled[own[i]] * trade.price / 1000);
                bytes32 consent = sign > 0 ? trade.buyOrder : trade.sellOrder;
                lines.push(Statement(SLOT, 0, member, i, wh, money, hashOf(trade), consent, reading));
            }
            changes.push(int32(money));
        }
        lines.push(Statement(SLOT, 0, SENTINEL, 0, 0, 0, 0, 0, 0));
    }

    function seal() internal {
        deltas = pack(changes);
        ordersRoot = rootOf(_orderHashes());
        tradesRoot = rootOf(_tradeHashes());
        p = Post(SLOT, 0, ordersRoot, rootOf(_readingHashes()), rootOf(_lineHashes()), keccak256(deltas), 0, 0);
        bytes32[] memory first = new bytes32[](1);
        bytes32[] memory second = new bytes32[](1);
        (first[0], second[0]) = (ordersRoot, tradesRoot);
        vm.warp(SLOT - 1);
        commit(SLOT, first, second);
        vm.warp(END);
        publish();
    }

    function publish() internal {
        bytes[] memory signatures = quorum(digestOf(p));
        vm.prank(operator);
        settlement.post(p, tradesRoot, deltas, signatures);
    }

    /// The trades of a member in the order of its lines.
    function _sorted(uint32 member) private view returns (uint256[] memory own) {
        uint256 count = 0;
        uint256[] memory found = new uint256[](trades.length);
        for (uint256 i = 0; i < trades.length; ++i) {
            if (trades[i].buyer != member && trades[i].seller != member) continue;
            uint256 place = count++;
            for (; place > 0 && _behind(found[place - 1], i, member); --place) {
                found[place] = found[place - 1];
            }
            found[place] = i;
        }
        own = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            own[i] = found[i];
        }
    }

    function _behind(uint256 front, uint256 back, uint32 member) private view returns (bool) {
        (bool sellsOne, bool sellsOther) = (trades[front].seller == member, trades[back].seller == member);
        bytes32 a = sellsOne ? trades[front].sellOrder : trades[front].buyOrder;
        bytes32 b = sellsOther ? trades[back].sellOrder : trades[back].buyOrder;
        return a != b ? a > b : sellsOne && !sellsOther;
    }

    // Records

    function hashOf(Statement memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(STATEMENT_TYPEHASH, value));
    }

    function hashOf(Trade memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(TRADE_TYPEHASH, value));
    }

    function hashOf(Order memory o) internal pure returns (bytes32) {
        bytes memory head = abi.encode(ORDER_TYPEHASH, o.member, keccak256(bytes(o.text)), o.side, o.wh, o.limit);
        return keccak256(bytes.concat(head, abi.encode(o.slot, o.expiry, o.nonce)));
    }

    function hashOf(Basket memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(BASKET_TYPEHASH, value));
    }

    function hashOf(Reading memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(READING_TYPEHASH, value));
    }

    function hashOf(Mandate memory m) internal pure returns (bytes32) {
        bytes memory head = abi.encode(MANDATE_TYPEHASH, m.member, m.agent, keccak256(bytes(m.text)));
        bytes memory tail = abi.encode(m.maxBuy, m.minSell, m.buyWh, m.sellWh, m.validFrom, m.validUntil, m.nonce);
        return keccak256(bytes.concat(head, tail));
    }

    function signed(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        return signature(key, digestOf(structHash, block.chainid, address(settlement)));
    }

    // Trees

    function _orderHashes() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](orders.length);
        for (uint256 i = 0; i < hashes.length; ++i) {
            hashes[i] = hashOf(orders[i]);
        }
    }

    function _tradeHashes() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](committed);
        for (uint256 i = 0; i < hashes.length; ++i) {
            hashes[i] = hashOf(trades[i]);
        }
    }

    function _readingHashes() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](readings.length);
        for (uint256 i = 0; i < hashes.length; ++i) {
            if (readings[i].meter != address(0)) hashes[i] = hashOf(readings[i]);
        }
    }

    function _lineHashes() internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](lines.length);
        for (uint256 i = 0; i < hashes.length; ++i) {
            hashes[i] = hashOf(lines[i]);
        }
    }

    function depthOf(uint256 count) internal pure returns (uint256 depth) {
        while (1 << depth < count) ++depth;
    }

    /// Leaves, padded, of records with these struct hashes; zero = there is none.
    function _leaves(bytes32[] memory hashes) private pure returns (bytes32[] memory nodes) {
        nodes = new bytes32[](1 << depthOf(hashes.length));
        for (uint256 i = 0; i < hashes.length; ++i) {
            if (hashes[i] != 0) nodes[i] = keccak256(abi.encodePacked(hashes[i]));
        }
    }

    function stranger(uint256 level) private pure returns (bytes32) {
        return keccak256(abi.encode("stranger", level));
    }

    function rootOf(bytes32[] memory hashes) internal view returns (bytes32 root) {
        bytes32[] memory nodes = _leaves(hashes);
        for (uint256 width = nodes.length; width > 1; width /= 2) {
            for (uint256 i = 0; i < width / 2; ++i) {
                nodes[i] = keccak256(abi.encodePacked(nodes[2 * i], nodes[2 * i + 1]));
            }
        }
        root = nodes[0];
        for (uint256 i = 0; i < more; ++i) {
            root = keccak256(abi.encodePacked(root, stranger(i)));
        }
    }

    function siblingsOf(bytes32[] memory hashes, uint256 position) internal view returns (bytes32[] memory siblings) {
        bytes32[] memory nodes = _leaves(hashes);
        uint256 depth = depthOf(hashes.length);
        siblings = new bytes32[](depth + more);
        for (uint256 level = 0; level < depth; ++level) {
            siblings[level] = nodes[position ^ 1];
            for (uint256 i = 0; i < nodes.length >> (level + 1); ++i) {
                nodes[i] = keccak256(abi.encodePacked(nodes[2 * i], nodes[2 * i + 1]));
            }
            position >>= 1;
        }
        for (uint256 i = 0; i < more; ++i) {
            siblings[depth + i] = stranger(i);
        }
    }

    /// Siblings beside the leaves from `first` to `last`.
    function borderOf(bytes32[] memory hashes, uint256 first, uint256 last)
        internal
        view
        returns (bytes32[] memory border)
    {
        bytes32[] memory left = siblingsOf(hashes, first);
        bytes32[] memory right = siblingsOf(hashes, last);
        border = new bytes32[](2 * left.length);
        uint256 count = 0;
        for (uint256 level = 0; level < left.length; ++level) {
            if (first & 1 == 1) border[count++] = left[level];
            if (last & 1 == 0) border[count++] = right[level];
            (first, last) = (first >> 1, last >> 1);
        }
        assembly {
            mstore(border, count)
        }
    }

    // What is shown

    function leafAt(uint256 position) internal view returns (Leaf memory) {
        return Leaf(lines[position], position, siblingsOf(_lineHashes(), position));
    }

    function one(uint256 position) internal view returns (Leaf[] memory list) {
        list = new Leaf[](1);
        list[0] = leafAt(position);
    }

    function two(uint256 first, uint256 second) internal view returns (Leaf[] memory list) {
        list = new Leaf[](2);
        (list[0], list[1]) = (leafAt(first), leafAt(second));
    }

    function three(uint256 first, uint256 second, uint256 third) internal view returns (Leaf[] memory list) {
        list = new Leaf[](3);
        (list[0], list[1], list[2]) = (leafAt(first), leafAt(second), leafAt(third));
    }

    /// The line of a member for a trade.
    function lineOf(uint32 member, uint256 trade) internal view returns (uint256 position) {
        bytes32 wanted = hashOf(trades[trade]);
        while (lines[position].member != member || lines[position].trade != wanted) ++position;
    }

    /// The line of a member for a trade, with the one before it if it has one.
    function stepOf(uint32 member, uint256 trade) internal view returns (Leaf[] memory) {
        uint256 position = lineOf(member, trade);
        return lines[position].index == 0 ? one(position) : two(position - 1, position);
    }

    /// The member's last line and the one behind it.
    function endsOf(uint32 member) internal view returns (Leaf[] memory) {
        uint256 next = 0;
        while (lines[next].member <= member) ++next;
        return two(next - 1, next);
    }

    /// All that an honest operator answers.
    function answerFor(uint32 member) internal view returns (Answer memory a) {
        (uint256 from, uint256 to) = (0, 0);
        while (lines[from].member < member) ++from;
        while (lines[to].member <= member) ++to;
        if (from != 0) --from;
        a.position = from;
        a.statements = new Statement[](to - from + 1);
        for (uint256 i = from; i <= to; ++i) {
            a.statements[i - from] = lines[i];
        }
        a.depth = depthOf(lines.length) + more;
        a.border = borderOf(_lineHashes(), from, to);
        a.tradesRoot = tradesRoot;
        a.reading = readings[member];
        a.readingSignature = signed(meterKey(member), hashOf(readings[member]));
        a.readingSiblings = siblingsOf(_readingHashes(), member);
        _addTrades(a, member);
    }

    function _addTrades(Answer memory a, uint32 member) private view {
        uint256[] memory own = _sorted(member);
        a.trades = new Trade[](own.length);
        a.committed = new bytes32[][](own.length);
        Consent[] memory consents = new Consent[](own.length);
        uint256 count = 0;
        for (uint256 i = 0; i < own.length; ++i) {
            Trade memory trade = trades[own[i]];
            a.trades[i] = trade;
            if (own[i] < committed) a.committed[i] = siblingsOf(_tradeHashes(), trade.number);
            bool fresh = i == 0 || _consent(own[i], member) != _consent(own[i - 1], member);
            if (fresh) consents[count++] = _consentOf(member, own[i] < committed);
        }
        assembly {
            mstore(consents, count)
        }
        a.consents = consents;
    }

    function _consent(uint256 trade, uint32 member) private view returns (bytes32) {
        return trades[trade].buyer == member ? trades[trade].buyOrder : trades[trade].sellOrder;
    }

    function _consentOf(uint32 member, bool ordered) private view returns (Consent memory consent) {
        consent.mandate = mandates[member];
        consent.mandateSignature = signed(memberKey(member), hashOf(mandates[member]));
        if (!ordered) return consent;
        consent.order = orders[member];
        (consent.first, consent.count) = (SLOT, 1);
        signBasket(consent, agentKey(member));
    }

    /// The basket that holds the order where the consent says, signed.
    function signBasket(Consent memory consent, uint256 key) internal view {
        bytes32 node = keccak256(abi.encodePacked(hashOf(consent.order)));
        for (uint256 i = 0; i < consent.siblings.length; ++i) {
            bytes32 sibling = consent.siblings[i];
            bool right = (consent.position >> i) & 1 == 1;
            node = keccak256(right ? abi.encodePacked(sibling, node) : abi.encodePacked(node, sibling));
        }
        consent.orderSignature = signed(key, hashOf(Basket(consent.order.member, consent.first, consent.count, node)));
    }
}
