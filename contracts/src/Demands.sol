// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {commitmentOf, hashMandate, hashOrder, hashReading, hashReceipt, hashStatement, hashTrade} from "./Hashing.sol";
import {Judge} from "./Judge.sol";
import {Proofs} from "./Proofs.sol";
import {Mandate, Order, Post, Reading, Receipt, Statement, Trade} from "./Records.sol";

/// @notice What shows that a member agreed to trade. Signatures are 65 bytes (r, s, v), empty where there is none:
/// an order signed by the member itself has no mandate, the mandate alone no order.
struct Consent {
    Order order;
    bytes orderSignature;
    Mandate mandate;
    bytes mandateSignature;
}

/// @notice All that was posted about one member, and what it rests on.
struct Answer {
    /// Position of the first of these lines.
    uint256 position;
    /// The line before the member's (unless it is the first of all), all of the member's, the one behind them.
    Statement[] statements;
    /// Depth of the tree, and the siblings beside the lines: level by level from the bottom, left before right.
    uint256 depth;
    bytes32[] border;
    /// Trade of each of the member's lines.
    Trade[] trades;
    /// Root of the committed trades, and each trade's siblings to it; none where the consent is a mandate.
    bytes32 tradesRoot;
    bytes32[][] committed;
    /// One for each run of lines under the same order.
    Consent[] consents;
    Reading reading;
    bytes readingSignature;
    bytes32[] readingSiblings;
}

/// @title What a post rests on, demanded on the chain
/// @notice Operators who keep a post's lines back, or who forged what they rest on, are asked here: without an answer in
/// time the post is deleted. An answer is checked for being complete and genuine; what it shows is judged by a challenge.
abstract contract Demands is Judge {
    struct Demand {
        /// Who asked; zero = nobody.
        address by;
        /// Last second for the answer (unix).
        uint40 until;
        bool answered;
    }

    /// @notice By keccak256(abi.encode(digest of the post, time of the post, what is asked for)).
    mapping(bytes32 key => Demand) public demands;

    event Demanded(uint64 indexed slot, uint32 indexed revision, uint32 indexed member, uint256 until);
    event Answered(uint64 indexed slot, uint32 indexed revision, uint32 indexed member);
    event OrderDemanded(uint64 indexed slot, uint32 indexed revision, bytes32 indexed order, uint256 until);
    event OrderAnswered(uint64 indexed slot, uint32 indexed revision, bytes32 indexed order);

    /// @notice This is not the account of the member.
    error NotTheMember(uint32 member, address account);
    /// @notice This was demanded before; the answer may come until then (unix seconds).
    error AlreadyDemanded(uint256 until);
    /// @notice Nobody demanded this.
    error NothingDemanded();
    /// @notice The answer was given.
    error AlreadyAnswered();
    /// @notice The answer had to come until then (unix seconds).
    error AnswerLate(uint256 until);
    /// @notice The answer may come until then (unix seconds).
    error AnswerPending(uint256 until);
    /// @notice The lines are not the member's own between one of a lower and one of a higher member.
    error IncompleteLines(uint32 member);
    /// @notice Lists that belong together have different lengths.
    error LengthMismatch(uint256 first, uint256 second);
    /// @notice The record is signed by somebody else, or for somebody else.
    error ForeignSignature(address expected, address signer);
    /// @notice An agent's order is outside the mandate.
    error OutsideMandate(bytes32 order, bytes32 mandate);
    /// @notice The receipt is for another slot.
    error ForeignReceipt(uint64 expected, uint64 given);

    /// @notice The calling member asks for all that was posted about it, once for a post, within its window.
    function demand(Post calldata p, uint32 member) external {
        require(community.accountOf(member) == msg.sender, NotTheMember(member, msg.sender));
        emit Demanded(p.slot, p.revision, member, _ask(p, _subject(member)));
    }

    /// @notice Answers a member's demand. Anybody may.
    function answer(Post calldata p, uint32 member, Answer calldata a) external {
        _close(p, _subject(member));
        uint256 first = _requireLines(p, member, a);
        _requireTrades(p, member, a, first);
        _requireReading(p, member, a, first);
        emit Answered(p.slot, p.revision, member);
    }

    /// @notice Deletes a post whose answer did not come in time; the bond pays the member who asked. Anybody may.
    function lapse(Post calldata p, uint32 member) external {
        _lapse(p, _subject(member));
    }

    /// @notice Asks where an order is that enough operators signed a receipt for. Anybody may, within the window.
    /// @param signatures of at least `threshold` operators over the receipt, ascending by signer: one operator alone
    /// could otherwise delete what the others posted
    function demandOrder(Post calldata p, Receipt calldata receipt, bytes[] calldata signatures) external {
        require(receipt.slot == p.slot, ForeignReceipt(p.slot, receipt.slot));
        bytes32 subject = hashReceipt(receipt);
        community.requireQuorum(_digest(subject), signatures);
        emit OrderDemanded(p.slot, p.revision, receipt.order, _ask(p, subject));
    }

    /// @notice Shows that the order stands where its receipt says. Anybody may.
    /// @param siblings of its place in the orders
    function answerOrder(Post calldata p, Receipt calldata receipt, bytes32[] calldata siblings) external {
        _close(p, hashReceipt(receipt));
        Proofs.requireAt(receipt.order, receipt.position, siblings, p.orders);
        emit OrderAnswered(p.slot, p.revision, receipt.order);
    }

    /// @notice Deletes a post without an order that was accepted; the bond pays who asked. Anybody may.
    function lapseOrder(Post calldata p, Receipt calldata receipt) external {
        _lapse(p, hashReceipt(receipt));
    }

    // ------------------------------------------------------------------------------------------------ ask and answer

    function _subject(uint32 member) private pure returns (bytes32) {
        return bytes32(uint256(member));
    }

    function _key(bytes32 digest, uint40 postedAt, bytes32 subject) private pure returns (bytes32) {
        return keccak256(abi.encode(digest, postedAt, subject));
    }

    function _ask(Post calldata p, bytes32 subject) private returns (uint40 until) {
        (bytes32 digest, uint40 postedAt) = settlement.hold(p);
        Demand storage asked = demands[_key(digest, postedAt, subject)];
        require(asked.by == address(0), AlreadyDemanded(asked.until));
        until = uint40(block.timestamp + settlement.answerTime());
        (asked.by, asked.until) = (msg.sender, until);
    }

    /// @dev The demand that waits for an answer.
    function _open(Post calldata p, bytes32 subject) private view returns (Demand storage asked) {
        (bytes32 digest, uint40 postedAt) = _pending(p);
        asked = demands[_key(digest, postedAt, subject)];
        require(asked.by != address(0), NothingDemanded());
        require(!asked.answered, AlreadyAnswered());
    }

    function _close(Post calldata p, bytes32 subject) private {
        Demand storage asked = _open(p, subject);
        require(block.timestamp <= asked.until, AnswerLate(asked.until));
        asked.answered = true;
    }

    function _lapse(Post calldata p, bytes32 subject) private {
        Demand storage asked = _open(p, subject);
        require(block.timestamp > asked.until, AnswerPending(asked.until));
        settlement.strike(p, asked.by);
    }

    // ---------------------------------------------------------------------------------------------- what is answered

    /// @dev The lines lead to the post and are all of the member's; returns the place of its first one.
    function _requireLines(Post calldata p, uint32 member, Answer calldata a) private pure returns (uint256 first) {
        uint256 count = a.statements.length;
        require(count >= 2, IncompleteLines(member));
        first = a.statements[0].member == member ? 0 : 1;
        require(count >= first + 2 && (first == 1 || a.position == 0), IncompleteLines(member));
        bytes32[] memory nodes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            Statement calldata line = a.statements[i];
            _requireHere(p, line);
            bool complete = i < first ? line.member < member : line.member == member;
            if (i + 1 == count) complete = line.member > member;
            require(complete, IncompleteLines(member));
            nodes[i] = Proofs.leafOf(hashStatement(line));
        }
        Proofs.requireRange(nodes, a.position, a.depth, a.border, p.statements);
    }

    /// @dev Every line's trade is there, and the member's consent to it; what an order agreed was committed.
    function _requireTrades(Post calldata p, uint32 member, Answer calldata a, uint256 first) private view {
        require(a.committed.length == a.trades.length, LengthMismatch(a.trades.length, a.committed.length));
        _requireSame(settlement.commitments(p.slot), commitmentOf(p.orders, a.tradesRoot));
        uint256 used = 0;
        uint256 consents = 0;
        bool ordered = false;
        bytes32 previous = 0;
        for (uint256 i = first; i + 1 < a.statements.length; ++i) {
            Statement calldata line = a.statements[i];
            if (line.trade == 0) continue;
            require(used < a.trades.length, LengthMismatch(a.trades.length, used + 1));
            _requireSame(line.trade, hashTrade(a.trades[used]));
            if (used == 0 || line.order != previous) {
                require(consents < a.consents.length, LengthMismatch(a.consents.length, consents + 1));
                ordered = _requireConsent(a.consents[consents++], line.order, member, p.slot);
                previous = line.order;
            }
            if (ordered) {
                Proofs.requireAt(line.trade, a.trades[used].number, a.committed[used], a.tradesRoot);
            }
            ++used;
        }
        require(used == a.trades.length, LengthMismatch(a.trades.length, used));
        require(consents == a.consents.length, LengthMismatch(a.consents.length, consents));
    }

    /// @dev The member's own signature stands behind what a line names; returns whether that is an order.
    function _requireConsent(Consent calldata consent, bytes32 named, uint32 member, uint64 slot)
        private
        view
        returns (bool ordered)
    {
        ordered = consent.orderSignature.length != 0;
        bytes32 order = hashOrder(consent.order);
        bytes32 mandate = hashMandate(consent.mandate);
        _requireSame(named, ordered ? order : mandate);
        address account = ordered ? consent.order.member : consent.mandate.member;
        require(_isAccountOf(member, account), NotTheMember(member, account));
        address agent = account;
        if (consent.mandateSignature.length != 0 || !ordered) {
            _requireSigned(mandate, consent.mandateSignature, account);
            agent = consent.mandate.agent;
        }
        if (!ordered) return false;
        _requireSigned(order, consent.orderSignature, agent);
        bool within = agent == account || _covers(consent.mandate, consent.order, slot);
        require(within, OutsideMandate(order, mandate));
    }

    /// @dev Whether an agent may give this order for the member in this slot.
    function _covers(Mandate calldata mandate, Order calldata order, uint64 slot) private pure returns (bool) {
        bool fits = order.side == 0
            ? order.limit <= mandate.maxBuy && order.wh <= mandate.buyWh
            : order.limit >= mandate.minSell && order.wh <= mandate.sellWh;
        bool timely = mandate.validFrom <= slot && slot < mandate.validUntil;
        return fits && timely && mandate.member == order.member;
    }

    /// @dev The meter's own signature stands behind the reading, which is where the readings have it.
    function _requireReading(Post calldata p, uint32 member, Answer calldata a, uint256 first) private view {
        bytes32 named = hashReading(a.reading);
        _requireSame(a.statements[first].reading, named);
        _requireSigned(named, a.readingSignature, a.reading.meter);
        Proofs.requireAt(named, member, a.readingSiblings, p.readings);
    }

    function _requireSigned(bytes32 structHash, bytes calldata signature, address expected) private view {
        address signer = ECDSA.recoverCalldata(_digest(structHash), signature);
        require(signer == expected, ForeignSignature(expected, signer));
    }
}
