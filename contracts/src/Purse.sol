// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {Cash} from "./Cash.sol";
import {Lanes} from "./Lanes.sol";
import {Operated} from "./Operated.sol";

/// @title The members' money
/// @notice What members pay in and withdraw, in lane units. A contract that moves balances says how long a withdrawal
/// has to wait for what may still be taken.
abstract contract Purse is Cash, Operated {
    using Lanes for Lanes.Book;

    struct Withdrawal {
        /// Lane units reserved.
        uint64 lanes;
        /// Unix seconds of the last request.
        uint64 requestedAt;
    }

    /// @notice What a member has asked to withdraw: lane units, and unix seconds of its last request.
    mapping(uint32 member => Withdrawal) public requested;

    Lanes.Book internal _book;

    event Deposited(uint32 indexed member, address indexed payer, uint64 lanes);
    event WithdrawalRequested(uint32 indexed member, uint64 lanes, uint64 requestedAt);
    event Withdrawn(uint32 indexed member, uint64 lanes);

    /// @notice Lists that belong together have different lengths.
    error LengthMismatch(uint256 first, uint256 second);
    /// @notice No member has this number.
    error UnknownMember(uint32 member);
    /// @notice More lane units than the member holds free.
    error InsufficientFree(uint32 member, uint64 free, uint64 lanes);
    /// @notice The member has asked for nothing.
    error NothingRequested(uint32 member);
    /// @notice The withdrawal can be claimed only after this time (unix seconds).
    error NotYetClaimable(uint32 member, uint256 claimableAfter);

    /// @notice The caller, a member, pays in.
    /// @param lanes lane units
    function deposit(uint64 lanes) external payable {
        _deposit(lanes);
    }

    /// @notice The caller, a member, pays in tokens whose transfer it allowed by a signature (ERC-2612).
    /// @param lanes lane units
    /// @param deadline as signed (unix seconds)
    /// @param v of the signature
    /// @param r of the signature
    /// @param s of the signature
    function depositWithPermit(uint64 lanes, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        IERC20Permit token = IERC20Permit(address(asset));
        if (address(token) != address(0)) {
            // Somebody else may have brought the same signature a moment ago; then the allowance is there already, and
            // without one the deposit fails.
            try token.permit(msg.sender, address(this), lanes * laneUnit, deadline, v, r, s) {} catch {}
        }
        _deposit(lanes);
    }

    /// @notice The caller, anybody, pays in for members.
    /// @param members numbers of members
    /// @param lanes lane units for each
    function depositFor(uint32[] calldata members, uint64[] calldata lanes) external payable {
        require(members.length == lanes.length, LengthMismatch(members.length, lanes.length));
        uint256 count = community.memberCount();
        uint256 total = 0;
        for (uint256 i = 0; i < members.length; ++i) {
            require(members[i] < count, UnknownMember(members[i]));
            total += lanes[i];
            _credit(members[i], lanes[i]);
        }
        _receive(total * laneUnit);
    }

    /// @notice The calling member asks for more of its balance back. The amount stops being free at once; asking again
    /// restarts the time for all of it.
    /// @param lanes lane units, at most what is free
    function requestWithdrawal(uint64 lanes) external {
        uint32 member = community.memberOf(msg.sender);
        uint64 free = freeOf(member);
        require(lanes <= free, InsufficientFree(member, free, lanes));
        Withdrawal storage withdrawal = requested[member];
        withdrawal.lanes += lanes;
        withdrawal.requestedAt = uint64(block.timestamp);
        emit WithdrawalRequested(member, withdrawal.lanes, withdrawal.requestedAt);
    }

    /// @notice Pays the calling member what it asked for, or its whole balance if that is less by now. By the time that
    /// this is possible, everything that could still take of it is done or gone.
    function claimWithdrawal() external {
        uint32 member = community.memberOf(msg.sender);
        Withdrawal memory withdrawal = requested[member];
        require(withdrawal.lanes != 0, NothingRequested(member));
        uint256 claimableAfter = uint256(withdrawal.requestedAt) + _withdrawalTime();
        require(block.timestamp > claimableAfter, NotYetClaimable(member, claimableAfter));

        uint64 balance = balanceOf(member);
        uint64 lanes = withdrawal.lanes < balance ? withdrawal.lanes : balance;
        delete requested[member];
        _book.move(member, -int256(uint256(lanes)));
        emit Withdrawn(member, lanes);
        _payCaller(lanes * laneUnit);
    }

    /// @notice Lane units that a member holds, requested ones included.
    function balanceOf(uint32 member) public view returns (uint64) {
        return _book.balanceOf(member);
    }

    /// @notice Lane units that a member holds and has not asked to withdraw: what its orders may cost.
    function freeOf(uint32 member) public view returns (uint64) {
        uint64 balance = balanceOf(member);
        uint64 reserved = requested[member].lanes;
        return balance > reserved ? balance - reserved : 0;
    }

    /// @dev Longest time for which something begun before a request may still take of the balance [s].
    function _withdrawalTime() internal view virtual returns (uint256);

    function _deposit(uint64 lanes) private {
        _credit(community.memberOf(msg.sender), lanes);
        _receive(lanes * laneUnit);
    }

    function _credit(uint32 member, uint64 lanes) private {
        _book.move(member, int256(uint256(lanes)));
        emit Deposited(member, msg.sender, lanes);
    }
}
